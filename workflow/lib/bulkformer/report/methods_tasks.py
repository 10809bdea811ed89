"""Methods in short, task by task: its question, its two protocols, and what it cannot say."""

from collections.abc import Mapping
from typing import Any

from bulkformer.evaluate.tasks.prognosis_outcomes import FEW_EVENTS
from bulkformer.report.cells import label
from bulkformer.report.methods_terms import Block, corpus_groups, percents, shown, words

QUESTIONS = {
    "imputation": (
        "Some genes of a sample are hidden; how well are their values, ln(TPM + 1), told from the "
        "visible ones? Genes differ far more than samples do, so a model that always answers with "
        "the training mean of each gene has a high pooled correlation while it knows nothing about "
        "the sample. Per-gene correlation and MSE skill are 0 for it."
    ),
    "disease_annotation": (
        "How well are disease, cancer type and tissue told from one vector per sample? Samples of "
        "one study share their laboratory as well as their label: a random split lets a "
        "classifier recognise the study, and only folds of whole studies, patients or donors show "
        "what is left."
    ),
    "imputation_differential": (
        "Some genes of a sample are hidden and imputed: are the genes that differ between two "
        "groups of samples still found, and how many are found that do not differ? masked_counts "
        "imputes nothing: each gene is tested on the samples that still show it, and one that too "
        "few show is not called. What a model finds beyond it is what imputation adds."
    ),
    "prognosis": (
        "Who dies earlier? Follow-up that ended with the patient alive says only that death came "
        "later. Legacy takes dead or alive at the last contact and ignores time, as the paper "
        "does; strict uses the times, and asks for the order of patients with one cancer: cancer "
        "types differ so much in survival that knowing the type alone orders most pairs."
    ),
    "drug_response": (
        "How well does a drug act on a cell line that no model has seen? Drugs differ in potency "
        "far more than lines do in sensitivity: the mean of each drug has a high pooled "
        "correlation while it knows nothing about the line. Within a drug its correlation is 0."
    ),
    "perturbation": (
        "What does a compound change in a cell? The level of a gene hardly changes, so that a "
        "model that says 'no change' has a high correlation of levels. Strict scores changes "
        "against matched controls, and of these what the mean change over compounds does not say."
    ),
    "gene_essentiality": (
        "Which genes does a cell line need? Some genes are needed by every line and most by none, "
        "so that the mean of each gene has a high pooled correlation. Within a gene, across "
        "lines, its correlation is 0; that is where a model of cells has to know more."
    ),
}

# What a result of a task does not say, whatever its value.
LIMITS = {
    "prognosis": "Survival depends on treatment, which is hardly recorded. Few events make wide "
    f"intervals, and cancers with fewer than {FEW_EVENTS} events are left out of means over "
    "cancers. Patients without follow-up are left out, also where only death or life is asked for.",
    "drug_response": "Response in a dish, to one drug at a time, of lines that have lived there "
    "for decades; drugs and lines that failed to fit a curve are absent.",
    "perturbation": "Intensities of landmark genes on beads, in a few cell lines, at one time. "
    "Many compounds change next to nothing: their correlation is noise. Intervals resample "
    "compounds and the control wells that their profiles share.",
    "gene_essentiality": "Calls of need or no need have no degree; where the table holds calls "
    "only, areas under curves say more than correlations.",
}


def imputation(settings: Mapping[str, Any], config: Mapping[str, Any]) -> Block:
    """Describe the imputation benchmark."""
    groups = corpus_groups(config)
    return Block(
        "Imputation",
        "All models meet the same masks, which depend on the sample and the seed alone.",
        [
            ("genes hidden", percents(settings.get("mask_fractions"))),
            (
                "legacy",
                f"test samples drawn at random, so that other samples of their {groups} were in "
                "training; one mask; genes that a cohort did not measure count as zeros, shown and "
                "scored; correlation over all hidden values pooled",
            ),
            (
                "strict",
                f"test {groups} that training never saw; {shown(settings.get('mask_repeats'))} "
                "masks of 15 %; only genes that the cohort measured are shown, hidden or scored; "
                "correlation of each gene across samples, and squared error against the gene mean; "
                "a model is scored on the genes that it knows",
            ),
            ("external cohorts", words(settings.get("external_cohorts"))),
            ("test samples", f"{shown(settings.get('max_samples'))} of each regime at the most"),
        ],
    )


def disease_annotation(settings: Mapping[str, Any], config: Mapping[str, Any]) -> Block:
    """Describe the annotation benchmark."""
    legacy, strict = settings.get("legacy", {}), settings.get("strict", {})
    return Block(
        "Disease annotation",
        "Encoders are frozen; only classifiers on top are fitted, the same for every model, apart "
        "from baselines and controls that are a classifier themselves.",
        [
            (
                "legacy",
                f"{shown(legacy.get('folds'))} random stratified folds of samples; "
                f"{shown(legacy.get('components'))} principal components and a random forest of "
                f"{shown(legacy.get('trees'))} trees; weighted F1, mean over folds",
            ),
            (
                "strict",
                f"{shown(strict.get('folds'))} folds of whole groups, drawn "
                f"{shown(strict.get('repeats'))} times; heads: {words(strict.get('heads'))}; one "
                "primary sample a patient; macro F1 of all out-of-fold predictions",
            ),
            *(
                (label(data["name"]), f"{data['label']}, grouped by {data['group_by']}")
                for data in settings.get("datasets", [])
            ),
        ],
    )


def prognosis(settings: Mapping[str, Any], config: Mapping[str, Any]) -> Block:
    """Describe the prognosis benchmark."""
    legacy, strict = settings.get("legacy", {}), settings.get("strict", {})
    return Block(
        "Prognosis",
        LIMITS["prognosis"],
        [
            ("endpoint", shown(settings.get("endpoint"))),
            ("legacy", f"{shown(legacy.get('folds'))} random folds; dead or alive, AUROC"),
            (
                "strict",
                f"{shown(strict.get('folds'))} folds of whole patients, drawn "
                f"{shown(strict.get('repeats'))} times; heads: {words(strict.get('heads'))}; "
                "C-index within cancers, integrated Brier score weighted for the censoring of each "
                "cancer",
            ),
        ],
    )


def drug_response(settings: Mapping[str, Any], config: Mapping[str, Any]) -> Block:
    """Describe the drug response benchmark."""
    within = "correlation over the lines of a fold, within each drug, then mean over folds"
    legacy = _dealt(settings, "pairs of line and drug") + "; correlation of all pairs"
    strict = f"{words(settings.get('strict', {}).get('regimes'))}; {_drawn(settings)}; {within}"
    return _outcome("Drug response", "drug_response", legacy, strict)


def perturbation(settings: Mapping[str, Any], config: Mapping[str, Any]) -> Block:
    """Describe the perturbation benchmark."""
    beyond = "correlation of changes with the mean change of training held constant"
    legacy = _dealt(settings, "compounds") + "; correlation of levels, mean over compounds"
    strict = f"{words(settings.get('strict', {}).get('regimes'))}; {_drawn(settings)}; {beyond}"
    return _outcome("Perturbation", "perturbation", legacy, strict)


def gene_essentiality(settings: Mapping[str, Any], config: Mapping[str, Any]) -> Block:
    """Describe the gene essentiality benchmark."""
    within = "correlation over the lines of a fold, within each gene, then mean over folds"
    legacy = _dealt(settings, "lines") + "; correlation of all values"
    strict = settings.get("strict", {})
    held_out = (
        f"whole patients: {_drawn(settings)}; whole lineages: {shown(strict.get('lineage_folds'))} "
        f"folds, drawn once; genes that the shared network never saw: drawn once; {within}"
    )
    return _outcome("Gene essentiality", "gene_essentiality", legacy, held_out)


def _outcome(heading: str, task: str, legacy: str, strict: str) -> Block:
    """Describe a benchmark on an outcome of cell lines."""
    return Block(heading, LIMITS[task], [("legacy", legacy), ("strict", strict)])


def _dealt(settings: Mapping[str, Any], what: str) -> str:
    return f"{shown(settings.get('legacy', {}).get('folds'))} random folds of {what}"


def _drawn(settings: Mapping[str, Any]) -> str:
    strict = settings.get("strict", {})
    return f"{shown(strict.get('folds'))} folds, drawn {shown(strict.get('repeats'))} times"


DESCRIBED = {
    "imputation": imputation,
    "disease_annotation": disease_annotation,
    "prognosis": prognosis,
    "drug_response": drug_response,
    "perturbation": perturbation,
    "gene_essentiality": gene_essentiality,
}
