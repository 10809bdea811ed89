"""Methods in short: what the two protocols mean here, and which choices are ours.

The numbers in these sentences are settings of the resolved configuration, never results.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from bulkformer.evaluate.statistics import MIN_GROUPS
from bulkformer.report.cells import MISSING
from bulkformer.report.methods_tasks import DESCRIBED
from bulkformer.report.methods_terms import (
    CONTROLS,
    Block,
    Terms,
    as_list,
    corpus_groups,
    percents,
    shown,
)


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
            f"Percentile bootstrap, {shown(evaluate.get('bootstrap'))} resamples, 95 %, over "
            "what was held out: whole studies, patients, donors, tissues or lineages; compounds "
            "and sets of controls for perturbations; drugs or genes where these are new, in rows "
            "that say over drugs or over genes, and for genes of imputation. Fewer than "
            f"{MIN_GROUPS} groups give no interval.",
        ),
        Block(
            "Paired comparisons",
            "Every model meets simple models and the null of its task on the same units. A "
            "model is called better or worse only if the adjusted p is below 0.05 and the interval "
            "of the mean difference leaves out 0 on the same side. No difference shown is a "
            "result; it does not say that there is none. Too few to decide: units are so few that "
            "even if all pointed one way the corrected test could not have shown it.",
            COMPARED,
        ),
        Block(
            "Controls",
            "What a number is worth shows beside a model that cannot know, and under which the "
            "same heads are tuned in the same way.",
            CONTROLS,
        ),
        Block(
            "Tuned and fixed",
            "A head treats all models alike, whatever their vectors.",
            TUNED,
        ),
        Block("Exposure", "What a model had seen of a cohort before it was tested.", EXPOSURE),
        Block(
            "Choices that are ours",
            "The paper leaves these open. They are assumed here, not reproduced.",
            assumed(config),
        ),
    ]
    return blocks


COMPARED: Terms = [
    (
        "reference",
        "the simple model with the highest main measure under the same head, or the one that the "
        "configuration names; a model whose head no simple model has meets none",
    ),
    (
        "best of each",
        "the best head of a model against the best simple model with any head of its own: says "
        "which to use, not whether its vectors are better",
    ),
    (
        "how the simple model is chosen",
        "by its score on these very test splits, not by inner validation, and without a look at "
        "foundation models: that favours the simple model",
    ),
    (
        "null",
        "a model that knows the group of a unit at most, such as its gene, drug or cancer, "
        "declared for each task",
    ),
    ("folds", "t test of Nadeau and Bengio, because folds share training samples"),
    ("all other units", "signed rank test; a sign-flip permutation beside it"),
    (
        "declared headline",
        "foundation models by one score, regime, condition and kind of units of a dataset: one "
        "family for each role, reference and null, corrected by Holm",
    ),
    ("all else", "one family for each score and role, corrected by Benjamini and Hochberg"),
    (
        "genes as units",
        "say whether a model would be better on other genes of the same samples, not on other "
        "samples",
    ),
]

TUNED: Terms = [
    (
        "tuned in inner folds of whole groups",
        "logistic, ridge, elastic-net and Cox regressions, neural Cox regression, support vectors, "
        "nearest neighbours of annotation; elastic nets, forests, boosted trees and factorisation "
        "of drug response and essentiality",
    ),
    (
        "fixed settings",
        "forests of annotation and survival, networks on pairs, tokens and levels, nearest "
        "compounds, numbers of principal components",
    ),
    (
        "imputers",
        "fixed settings, the autoencoder too; soft-impute chooses its shrinkage on values that it "
        "hides in training samples",
    ),
]

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
    (
        "unknown",
        "released weights, whose training samples are not listed; and cell lines, wherever the "
        "corpus does not say of which lines its samples are: nothing is cleared",
    ),
]


GENE_STARTS = {
    "random": "random, as in the paper",
    "principal_components": "principal components of the training samples, not random as in the "
    "paper: a small corpus is too little to learn it from nothing",
}


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
