"""What the measures of each task are called, which are shown, and which models are floors."""

from bulkformer.report.cells import label

# Models that know nothing about the unit: {model: what it does}, the one that figures mark first.
# Their score is what a benchmark gives for free; readings take the highest of each measure.
FLOORS = {
    "imputation": {"gene_mean": "the floor: knows nothing of the sample"},
    "imputation_differential": {
        "gene_mean": "the floor: knows nothing of the sample",
        "masked_counts": "a floor: imputes nothing, and tests what is left",
    },
    "disease_annotation": {
        "majority": "a floor: says the most frequent class",
        "permuted_labels": "a floor: learned from permuted labels",
    },
    "prognosis": {
        "cancer_type_only": "the floor: knows the cancer type and nothing of the patient",
        "permuted_events": "a floor: learned from exchanged outcomes",
    },
    "drug_response": {
        "drug_mean": "the floor: knows the drug and nothing of the line",
        "shuffled_lines": "a floor: learned from exchanged lines",
    },
    "perturbation": {
        "mean_delta": "the floor: the mean change, whatever the compound",
        "no_change": "a floor: says that nothing changes",
    },
    "gene_essentiality": {
        "gene_effect_mean": "the floor: knows the gene and nothing of the line",
        "permuted_lines": "a floor: learned from exchanged lines",
    },
}

# A further question of another task stands below it.
BELONGS_TO = {"imputation_differential": "imputation"}
TASK_NAMES = {"imputation_differential": "Imputation: differential genes"}


def task_name(task: str) -> str:
    """Return how headings and tables call a task."""
    return TASK_NAMES.get(task, label(task).capitalize())


# (metric, aggregation): name in headings, and what the axis counts.
MEASURE_NAMES = {
    ("pearson", "pooled"): ("pooled PCC", "Pearson r over all values"),
    ("spearman", "pooled"): ("pooled Spearman", "Spearman ρ over all values"),
    ("per_gene_pearson_deviation", "mean_over_groups"): (
        "per-gene PCC",
        "Pearson r across samples, mean over genes",
    ),
    ("centred_per_sample_pearson", "mean_over_groups"): (
        "centred per-sample PCC",
        "Pearson r after subtracting the gene mean",
    ),
    ("mse_skill", "pooled"): ("MSE skill", "1 − MSE / MSE of the training mean"),
    ("weighted_f1", "fold_mean"): ("weighted F1", "weighted F1, mean over folds"),
    ("weighted_f1", "pooled"): ("weighted F1, pooled", "weighted F1, folds pooled"),
    ("macro_f1", "pooled"): ("macro F1", "macro F1, folds pooled"),
    ("balanced_accuracy", "pooled"): ("balanced accuracy", "mean recall over classes"),
    ("one_against_rest_auc", "weighted"): (
        "AUC against other classes",
        "AUC of a class against others, mean over cases",
    ),
    ("balanced_accuracy_by_chance", "pooled"): (
        "balanced accuracy by chance",
        "mean recall of a constant answer",
    ),
    ("within_study_disease_auc", "weighted"): (
        "within-study AUC",
        "AUC, disease against control",
    ),
    ("f1", "pooled"): ("F1 of differential genes", "F1 of called genes"),
    ("auroc", "fold_mean"): ("AUROC, dead or alive", "AUROC, mean over folds"),
    ("within_cancer_c_index", "weighted"): (
        "within-cancer C-index",
        "pairs of one cancer",
    ),
    ("c_index", "weighted"): ("C-index over all cancers", "pairs of patients of one fold"),
    ("within_cancer_antolini_concordance", "weighted"): (
        "within-cancer concordance of curves (Antolini)",
        "pairs of one cancer, on the day of the event",
    ),
    ("within_cancer_log_likelihood_gain_over_clinical", "weighted"): (
        "log partial likelihood gained over the clinic",
        "gain for each event of held-out patients",
    ),
    ("integrated_brier_skill", "pooled"): (
        "integrated Brier skill",
        "1 − score / Kaplan-Meier",
    ),
    ("per_drug_pearson", "mean_over_groups"): (
        "per-drug PCC",
        "r, mean over drugs",
    ),
    ("interaction_pearson", "pooled"): (
        "interaction PCC",
        "r of drug by line",
    ),
    ("replicate_screens_pearson", "mean_over_groups"): (
        "agreement of two screens of a drug",
        "r, mean over drugs screened twice",
    ),
    ("per_gene_pearson", "mean_over_groups"): (
        "per-gene PCC",
        "r, mean over genes",
    ),
    ("pearson_level", "mean_over_groups"): (
        "PCC of absolute levels",
        "r of levels",
    ),
    ("pearson_delta_beyond_mean", "mean_over_groups"): (
        "PCC of changes beyond the mean",
        "partial r, mean change held constant",
    ),
    ("pearson_delta_deviation", "mean_over_groups"): (
        "PCC of changes less the mean change",
        "r, mean change subtracted",
    ),
    ("pearson_delta", "mean_over_groups"): ("PCC of changes", "r of changes"),
    ("energy_skill", "mean_over_groups"): (
        "energy skill of replicates",
        "1 − energy distance / no change",
    ),
    ("call_agreement", "pooled"): (
        "unchanged conclusions on genes",
        "share of genes called as on measured counts",
    ),
}

# What stands beside the primary measures of a task: first in figures, then in tables only.
IN_FIGURES = {
    "imputation": [("strict", "per_gene_pearson_deviation", "mean_over_groups")],
    "disease_annotation": [("strict", "within_study_disease_auc", "weighted")],
    "prognosis": [("strict", "integrated_brier_skill", "pooled")],
    "drug_response": [("strict", "interaction_pearson", "pooled")],
    "perturbation": [("strict", "pearson_delta", "mean_over_groups")],
    "gene_essentiality": [("strict", "mse_skill", "pooled")],
}
IN_TABLES = {
    "imputation": [
        ("strict", "centred_per_sample_pearson", "mean_over_groups"),
        ("strict", "pearson", "pooled"),
    ],
    "disease_annotation": [("strict", "balanced_accuracy", "pooled")],
    "prognosis": [("strict", "c_index", "weighted")],
    "drug_response": [("strict", "pearson", "pooled")],
    "perturbation": [("strict", "pearson_level", "mean_over_groups")],
    "gene_essentiality": [("strict", "pearson", "pooled")],
}
