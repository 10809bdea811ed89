"""What may be said of a comparison, by fixed rules: one verdict, one sentence.

A model is called better or worse only if the adjusted p is below 0.05 and the interval of the mean
difference leaves out 0 on the same side. Everything else is "no difference shown": which is a
result, and does not say that there is none. Where all units point one way and the correction for
many comparisons still leaves p above 0.05, no data of so few units could have shown more: they are
too few to decide.
"""

from bulkformer.evaluate.comparison_arms import Opponent
from bulkformer.evaluate.paired_tests import CORRECTED_T, PairedTest
from bulkformer.evaluate.statistics import LEVEL

BETTER, WORSE, NO_DIFFERENCE, TOO_FEW = "better", "worse", "no_difference_shown", "too_few_units"
SEEN = {
    "seen_unlabelled": "had seen these samples, without labels",
    "seen_in_graph": "has a gene graph made from these samples",
    "unknown": "may have seen these samples",
}
ADJUSTED = {"holm": "Holm", "benjamini_hochberg": "Benjamini-Hochberg"}


def verdict(test: PairedTest, p_adjusted: float | None) -> str:
    """Return better, worse, no_difference_shown or too_few_units."""
    if p_adjusted is None or test.mean.low is None or test.mean.high is None:
        return TOO_FEW
    if p_adjusted < 1 - LEVEL and test.mean.low > 0:
        return BETTER
    if p_adjusted < 1 - LEVEL and test.mean.high < 0:
        return WORSE
    return TOO_FEW if test.all_one_way else NO_DIFFERENCE


def sentence(
    arm: str,
    opponent: Opponent,
    metric: str,
    unit_kind: str,
    test: PairedTest,
    p_adjusted: float | None,
    correction: str | None,
    exposure: dict[str, str | None],
) -> str:
    """Return what a reader may take from a comparison.

    `exposure` is {name of the model: its state} of the two, the model first.
    """
    said = verdict(test, p_adjusted)
    other = f"{opponent.arm}"
    if opponent.knows:
        other += f" (which {opponent.knows})"
    units = f"{test.n_units} {plural(unit_kind, test.n_units)}"
    size = f"mean difference {signed(test.mean.value)}"
    if test.mean.low is not None:
        size += f" [{signed(test.mean.low)}, {signed(test.mean.high)}]"
    measured = metric.replace("_", " ")
    if said == TOO_FEW:
        text = f"Too few to decide: {arm} against {other}, {measured} on {units}, {size}."
    else:
        p = f"{ADJUSTED[correction]}-adjusted p {small(p_adjusted)}"
        if test.decided_by == CORRECTED_T:
            p += ", corrected for shared training rows"
        basis = f"{size} over {units}, higher on {100 * test.win_rate:.0f} % ({p})"
        opening = {
            BETTER: f"{arm} is better than {other}",
            WORSE: f"{arm} is worse than {other}",
            NO_DIFFERENCE: f"No difference shown between {arm} and {other}",
        }[said]
        text = f"{opening} by {measured}: {basis}."
    seen = [f"{name} {SEEN[state]}." for name, state in exposure.items() if state in SEEN]
    return " ".join([text, *seen])


def plural(kind: str, n: int) -> str:
    """Return the word for units of a kind."""
    word = kind.removesuffix("_id").replace("_", " ")
    if n == 1 or word.endswith("s"):
        return word
    return {"study": "studies"}.get(word, f"{word}s")


def signed(value: float | None) -> str:
    """Write a difference with its sign; a minus is a minus."""
    return "not defined" if value is None else f"{value:+.3f}".replace("-", "−")


def small(p: float) -> str:
    """Write a p value."""
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"
