"""What the measures of each task are called, which are shown, and which models are floors."""

# Models that know nothing about the unit: {model: what it does}, the one that figures mark first.
# Their score is what a benchmark gives for free; readings take the highest of each measure.
FLOORS = {
    "imputation": {"gene_mean": "the floor: knows nothing of the sample"},
    "imputation_differential": {"gene_mean": "the floor: knows nothing of the sample"},
    "disease_annotation": {
        "majority": "a floor: says the most frequent class",
        "permuted_labels": "a floor: guesses with the class shares",
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
    ("c_index", "weighted"): ("C-index over all cancers", "all pairs of patients"),
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
    ("per_gene_pearson", "mean_over_groups"): (
        "per-gene PCC",
        "r, mean over genes",
    ),
    ("pearson_level", "mean_over_groups"): (
        "PCC of absolute levels",
        "r of levels",
    ),
    ("pearson_delta_deviation", "mean_over_groups"): (
        "PCC of changes beyond the mean change",
        "r, mean change off",
    ),
    ("pearson_delta", "mean_over_groups"): ("PCC of changes", "r of changes"),
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
