"""Methods in short: what the two protocols mean here, and which choices are ours.

The numbers in these sentences are settings of the resolved configuration, never results.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bulkformer.report.cells import MISSING, is_missing, label, plural

Terms = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Block:
    """A heading with a paragraph and named settings below it."""

    heading: str
    text: str = ""
    terms: Terms = ()


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
}


def methods(config: Mapping[str, Any], tasks: Sequence[str]) -> list[Block]:
    """Return what a reader must know of protocols, tasks, intervals, exposure and our choices."""
    evaluate = config.get("evaluate", {})
    blocks = [
        Block(
            "Two protocols",
            "Legacy repeats what the BulkFormer paper did, as far as it is public. Strict asks "
            "what holds up: everything that learns sees training rows only, samples that belong "
            "together are never split, and knowing nothing scores zero, or its score is shown. "
            "The same baselines and controls run under both.",
        )
    ]
    blocks += [
        DESCRIBED[task](evaluate.get(task, {}), config) for task in tasks if task in DESCRIBED
    ]
    blocks += [
        Block(
            "Intervals",
            f"Percentile bootstrap, {shown(evaluate.get('bootstrap'))} resamples, 95 %, over whole "
            "studies, patients or donors, and over genes for summaries per gene: the unit to which "
            "a result is meant to generalise. Fewer than three groups give no interval.",
        ),
        Block("Exposure", "What a model had seen of a cohort before it was tested.", EXPOSURE),
        Block(
            "Choices that are ours",
            "The paper leaves these open. They are assumed here, not reproduced.",
            assumed(config),
        ),
    ]
    return blocks


EXPOSURE: Terms = [
    (
        "clean",
        "neither the samples nor others of the same patient, donor or study were in training",
    ),
    (
        "seen unlabelled",
        "samples, or others of their patient, donor or study, were in the corpus; for released "
        "weights, their makers say that the collection was in theirs",
    ),
    ("seen in graph", "not in training, but in the samples from which the gene graph was made"),
    ("unknown", "released weights, whose training samples are not listed: nothing is cleared"),
]


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
                "masks; only genes that the cohort measured are shown, hidden or scored; "
                "correlation of each gene across samples, and squared error against the gene mean",
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


GENE_STARTS = {
    "random": "random, as in the paper",
    "principal_components": "principal components of the training samples, not random as in the "
    "paper: a small corpus is too little to learn it from nothing",
}

DESCRIBED = {"imputation": imputation, "disease_annotation": disease_annotation}


def assumed(config: Mapping[str, Any]) -> Terms:
    """Return the choices on which the paper is silent."""
    split = config.get("expression", {}).get("corpus", {})
    legacy = config.get("evaluate", {}).get("disease_annotation", {}).get("legacy", {})
    training = config.get("pretrain", {}).get("training", {})
    groups = corpus_groups(config)
    return [
        ("seed of every random choice", shown(config.get("seed"))),
        ("legacy test samples", percents([split.get("held_out_sample_fraction")])),
        (f"strict test {groups}", percents([split.get("held_out_group_fraction")])),
        (f"{groups} that choose the weights", percents([split.get("validation_fraction")])),
        (
            "legacy classifier",
            f"{shown(legacy.get('components'))} components fitted inside each training fold, "
            f"{shown(legacy.get('trees'))} trees, features √d, no depth limit",
        ),
        ("genes hidden in pretraining", percents(as_list(training.get("mask_fraction")))),
        ("start of the gene table", GENE_STARTS.get(training.get("gene_start"), MISSING)),
        (
            "start of the last bias",
            "mean expression of the training samples, for the trained model and for the untrained "
            "control alike",
        ),
        (
            "learning rate",
            f"{shown(training.get('learning_rate'))}, {shown(training.get('schedule'))}",
        ),
        ("graph of the model", shown(config.get("pretrain", {}).get("graph"))),
        (
            "best simple model",
            "the highest value of the very column it is shown for: in its favour",
        ),
    ]


def corpus_groups(config: Mapping[str, Any]) -> str:
    """Return what is never split in the corpus: studies, or groups that share study or patient."""
    columns = config.get("expression", {}).get("corpus", {}).get("group_by") or []
    kinds = [column.removesuffix("_id") for column in columns]
    if len(kinds) == 1:
        return plural(label(kinds[0]))
    return f"groups that share {' or '.join(label(kind) for kind in kinds)}" if kinds else "groups"


def shown(value: Any) -> str:
    """Write a setting, or a dash if the configuration has none."""
    return MISSING if is_missing(value) else str(value)


def words(values: Sequence[str] | None) -> str:
    """Write a list of names."""
    return ", ".join(label(value) for value in values) if values else "none"


def as_list(share: float | Sequence[float] | None) -> Sequence[float | None]:
    """Return a share, or the two ends of a range of shares, as a list."""
    return share if isinstance(share, list | tuple) else [share]


def percents(shares: Sequence[float | None] | None) -> str:
    """Write shares as percentages."""
    known = [share for share in shares or [] if not is_missing(share)]
    return ", ".join(f"{100 * share:g}" for share in known) + " %" if known else MISSING
