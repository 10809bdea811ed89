"""What the page about the model says in words: sentences that follow from numbers by fixed rules.

A sentence about the gene mean rests on the interval of the skill, which resamples groups of
samples; what the interval does not decide is said to be undecided.
"""

from __future__ import annotations

from typing import Any

from bulkformer.report.cells import count, decimal, interval, is_missing
from bulkformer.report.model_figures import SPLITS, listed, percent
from bulkformer.report.model_inputs import ModelInputs
from bulkformer.report.readings import Reading

ABOVE, BELOW, CLOSE, UNKNOWN = "above", "below", "overlap", "unknown"
STILL_FALLING = 0.95  # of the steps: a best loss after this share says that training could go on
NETWORK = ("contextual", "identity")
TOGETHER = "set_pairs_over_chance"
SIMPLE = ("start", "principal_components", "untrained", "level")
SOURCES = {
    "contextual": "gene vectors of the network, in samples",
    "identity": "gene table of the network, without samples",
    "start": "the network as training began",
    "untrained": "the same network with random weights",
    "principal_components": "principal components of the training samples",
    "level": "mean expression alone",
    "permuted": "the clusters of the map with genes exchanged at random",
}


def says(inputs: ModelInputs) -> list[Reading]:
    """Return all sentences, the most important first."""
    found = [
        beats(inputs, "validation"),
        beats(inputs, "validation_samples"),
        *flattered(inputs),
        *apart(inputs),
        *shares(inputs),
        *genes(inputs),
        *course(inputs),
        *clusters(inputs),
    ]
    return [reading for reading in found if reading is not None]


def sentence(verdict: str, text: str, basis: str = "") -> Reading:
    """Return a sentence with its mark and the numbers behind it."""
    return Reading(verdict=verdict, text=text, basis=basis)


def verdict_of(row: dict[str, Any]) -> str:
    """Return where the skill lies with respect to the gene mean, which is 0."""
    if is_missing(row["ci_low"]):
        return UNKNOWN
    return ABOVE if row["ci_low"] > 0 else BELOW if row["ci_high"] < 0 else CLOSE


def beats(inputs: ModelInputs, split: str) -> Reading | None:
    """Say whether the model beats the gene mean on a split, at the share closest to training's."""
    row = inputs.main_row(split)
    if row is None:
        return None
    verdict = verdict_of(row)
    text = {
        ABOVE: "The model beats the gene mean on {}.",
        BELOW: "The model does not beat the gene mean on {}.",
        CLOSE: "The model cannot be told from the gene mean on {}.",
        UNKNOWN: "On {} there are too few groups of samples to say whether it beats the gene mean.",
    }[verdict]
    written = decimal(row["mse_skill"]), interval(row["ci_low"], row["ci_high"])
    return sentence(
        verdict,
        text.format(SPLITS[split]),
        f"skill {' '.join(filter(None, written))}, {percent(inputs.main_fraction)} of genes "
        f"hidden, {count(row['n_samples'])} samples in {count(row['n_groups'])} groups",
    )


def flattered(inputs: ModelInputs) -> list[Reading]:
    """Say that the studies that chose the weights cannot judge them quite fairly."""
    looks = inputs.history[
        (inputs.history["split"] == "validation")
        & (inputs.history["mask_fraction"] == inputs.main_fraction)
    ]
    if len(looks) < 2:  # nothing was chosen
        return []
    text = "The studies kept apart also chose the weights that were kept: their figures flatter."
    return [sentence(CLOSE, text, f"the best of {count(len(looks))} looks in training")]


def apart(inputs: ModelInputs) -> list[Reading]:
    """Say whether new samples of the training studies are easier than studies kept apart."""
    if not inputs.trained_here:  # which studies such weights know is not known
        return []
    ood, known = (inputs.main_row(split) for split in SPLITS)
    if ood is None or known is None or is_missing(ood["ci_low"]) or is_missing(known["ci_low"]):
        return []
    basis = f"skill {decimal(known['mse_skill'])} against {decimal(ood['mse_skill'])}"
    if known["ci_low"] > ood["ci_high"]:
        return [sentence(BELOW, "It knows studies that it trained on better than new ones.", basis)]
    if known["ci_high"] < ood["ci_low"]:
        text = "New samples of studies that it trained on are harder for it than new studies."
        return [sentence(CLOSE, text, basis)]
    text = (
        "Between new studies and new samples of studies that it trained on no difference can be "
        "shown."
    )
    return [sentence(CLOSE, text, basis + "; the intervals overlap")]


def shares(inputs: ModelInputs) -> list[Reading]:
    """Say up to which share of hidden genes the model beats the gene mean on studies kept apart."""
    rows = inputs.accuracy[inputs.accuracy["split"] == "validation"]
    verdicts = {row["mask_fraction"]: verdict_of(row) for row in rows.to_dict("records")}
    if len(verdicts) < 2:
        return []
    good = [percent(share) for share, verdict in sorted(verdicts.items()) if verdict == ABOVE]
    poor = [percent(share) for share, verdict in sorted(verdicts.items()) if verdict == BELOW]
    if not poor and len(good) == len(verdicts):
        return [sentence(ABOVE, "It beats the gene mean at every share of hidden genes tried.")]
    parts = []
    if good:
        parts.append(f"better than the gene mean with {listed(good)} of genes hidden")
    if poor:
        parts.append(f"worse with {listed(poor)}")
    if not parts:
        return [sentence(CLOSE, "At no share of hidden genes is the difference certain.")]
    return [sentence(BELOW if poor else CLOSE, f"On studies kept apart it is {', '.join(parts)}.")]


def genes(inputs: ModelInputs) -> list[Reading]:
    """Say for how many genes the model is better than their mean, and where it is not."""
    spread = inputs.assessment["pearson"].get("validation")
    if not spread or not spread["genes_judged"]:
        return []
    n, judged = spread["genes_with_skill"], spread["genes_judged"]
    deciles = inputs.deciles[
        (inputs.deciles["split"] == "validation") & (inputs.deciles["by"] == "expression")
    ]
    # Where nothing is expressed the gene mean makes no error, and there is no skill to speak of.
    known = deciles.dropna(subset="mse_skill").to_dict("records")
    poor = [str(row["decile"]) for row in known if row["mse_skill"] <= 0]
    everywhere = "every tenth" if len(known) == len(deciles) else "each known tenth"
    where = f"not better in the tenths {listed(poor)}" if poor else f"better in {everywhere}"
    opposed = spread["genes_opposed"]
    return [
        sentence(
            ABOVE if 2 * n > judged else BELOW,
            f"It is better than their mean for {count(n)} of {count(judged)} genes; {where} by "
            "expression.",
            f"median correlation of a gene {decimal(spread['quantiles']['median'])}",
        ),
        sentence(
            BELOW if opposed else ABOVE,
            f"{count(opposed)} of {count(spread['genes_correlated'])} genes are predicted the "
            "wrong way round: up in samples where they are down.",
            f"correlation below {decimal(spread['opposed_below'], 2)}",
        ),
    ]


def course(inputs: ModelInputs) -> list[Reading]:
    """Say whether training had come to its end."""
    best, steps = inputs.training.get("best_step"), inputs.training.get("steps")
    if not inputs.trained_here or not best or not steps:
        return []
    basis = f"kept weights: step {count(best)} of {count(steps)}"
    if best > STILL_FALLING * steps:
        text = "The validation loss was lowest at the end: longer training may help."
        return [sentence(CLOSE, text, basis)]
    text = "The validation loss was lowest before the end: the last steps did not help new studies."
    return [sentence(CLOSE, text, basis)]


def clusters(inputs: ModelInputs) -> list[Reading]:
    """Say whether the map of genes holds more than what went in, by pairs of genes of one set."""
    rows = {row["source"]: row for row in inputs.controls.to_dict("records")}
    own = rows.get(inputs.map["of"])
    if own is None or not own["n_sets"]:
        return []
    found = []
    lower = [name for name in SIMPLE if name in rows and rows[name][TOGETHER] < own[TOGETHER]]
    higher = [name for name in SIMPLE if name in rows and rows[name][TOGETHER] >= own[TOGETHER]]
    basis = f"{times(own)} as often as chance, given the sizes of the clusters"
    if lower:
        against = listed([f"{SOURCES[name]} ({times(rows[name])})" for name in lower])
        text = f"Genes of one set lie together more often than by {against}."
        found.append(sentence(ABOVE, text, basis))
    if higher:
        against = listed([f"{SOURCES[name]} ({times(rows[name])})" for name in higher])
        text = f"Genes of one set lie together no more often than by {against}."
        found.append(sentence(BELOW, text, basis))
    chance = rows.get("permuted")
    if chance is not None:
        found.append(
            sentence(
                ABOVE if own["sets_enriched"] > chance["sets_enriched"] else BELOW,
                f"{count(own['sets_enriched'])} of {count(own['n_sets'])} gene sets are enriched "
                f"in a cluster; on average {decimal(chance['sets_enriched'], 1)} once genes are "
                "exchanged at random.",
            )
        )
    return found


def times(row: dict[str, Any]) -> str:
    """Write how many times as often as by chance genes of one set lie together."""
    return f"{decimal(row[TOGETHER], 1)} times"
