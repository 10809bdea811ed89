"""What may be concluded: for each dataset one small table, and what its intervals allow to say.

A reading compares two intervals that the metrics table holds; it makes no number and is no test.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bulkformer.report.cells import MISSING, Cell, Column, Table, count, is_missing, label, plural
from bulkformer.report.figures import Estimate
from bulkformer.report.tables import (
    HASH_LETTERS,
    exposure_both,
    measure_column,
    metric_cell,
    model_cell,
)
from bulkformer.report.views import Comparison, Measure, MetricRow

VERDICTS = {
    "above": "above",
    "below": "below",
    "overlap": "overlapping",
    "unknown": "not comparable",
}


@dataclass(frozen=True)
class Reading:
    """Where an interval lies (above, below, overlap or unknown), by which measure, against what."""

    verdict: str
    text: str
    basis: str = ""
    protocol: str = ""
    role: str = ""
    other: str = ""


@dataclass(frozen=True)
class Card:
    """One dataset: a heading, sentences, a small table, and what stands behind the numbers."""

    kicker: str
    title: str
    subject: str
    readings: Sequence[Reading]
    table: Table
    basis: Sequence[str]


def card(comparison: Comparison, name: str, models: Mapping[str, Mapping[str, Any]]) -> Card:
    """Return the card of one dataset.

    Parameters
    ----------
    models : rows of the models table by name; the sentences are about the first foundation model
        by name that took part, so that no result chooses it
    """
    kinds = {model: row.get("kind", "") for model, row in models.items()}
    present = set(comparison.rows["model"])
    foundation = [model for model in models if model in present and kinds[model] == "foundation"]
    subject = min(foundation, default=None)
    untrained = untrained_models(comparison, models)
    legacy, strict = comparison.legacy, comparison.strict[0]
    best = {measure: comparison.best_simple(measure, kinds) for measure in (legacy, strict)}

    roles: dict[str, list[str]] = {model: [] for model in foundation}
    if best[strict] == best[legacy] and best[strict]:
        roles.setdefault(best[strict], []).append("best simple model under both")
    else:
        for measure in (strict, legacy):
            if best[measure]:
                role = f"best simple model, {measure.protocol}"
                roles.setdefault(best[measure], []).append(role)
    if comparison.floor:
        roles.setdefault(comparison.floor, []).append("the floor: knows nothing of the sample")
    for model in untrained:
        roles.setdefault(model, []).append("untrained weights")
    return Card(
        kicker=label(comparison.task).capitalize(),
        title=comparison_title(comparison),
        subject=label(subject or ""),
        readings=readings(comparison, subject, best, untrained),
        table=card_table(comparison, name, roles, models),
        basis=basis(comparison, subject or comparison.floor),
    )


def glance(cards: Sequence[Card]) -> Table:
    """Return all readings in one table: a row a dataset, a column for what it is compared with."""
    places = [(r.protocol, r.role) for card in cards for r in card.readings if r.role]
    columns = list(dict.fromkeys(places))
    rows = []
    for each in cards:
        cells = [Cell(each.title, each.kicker)]
        for place in columns:
            found = next((r for r in each.readings if (r.protocol, r.role) == place), None)
            cells.append(
                Cell(VERDICTS[found.verdict], found.other, f"verdict {found.verdict}")
                if found
                else Cell(MISSING)
            )
        rows.append(cells)
    headings = [Column(f"Against {role}", above=protocol) for protocol, role in columns]
    return Table("table-glance", [Column("Dataset"), *headings], rows)


def comparison_title(comparison: Comparison) -> str:
    """Name a dataset, with the condition where a task has conditions."""
    condition = f", {comparison.condition} of genes hidden" if comparison.condition else ""
    return label(comparison.dataset) + condition


def untrained_models(comparison: Comparison, models: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the models with random weights, in the order of the models table."""
    random = set(comparison.rows.loc[comparison.rows["weights"] == "random", "model"])
    return [model for model in models if model in random]


def card_table(
    comparison: Comparison,
    name: str,
    roles: Mapping[str, Sequence[str]],
    models: Mapping[str, Mapping[str, Any]],
) -> Table:
    """Return the rows that matter most, legacy beside strict; roles stand below the names."""
    measures = [comparison.legacy, comparison.strict[0], *comparison.more]
    rows, marks = [], []
    for model, role in roles.items():
        found = [comparison.row(model, measure) for measure in measures]
        first = next((row for row in found if row is not None), None)
        weights = None if first is None else first["weights"]
        named = model_cell(model, models.get(model, {}).get("kind", ""), weights)
        rows.append(
            [
                Cell(named.text, "; ".join(role), named.mark),
                *(metric_cell(row) for row in found),
                exposure_both(found[0], found[1]),
            ]
        )
        marks.append("floor" if model == comparison.floor else "")
    columns = [
        Column("Model"),
        *(measure_column(measure, name_head=False) for measure in measures),
        Column("Exposure"),
    ]
    return Table(name, columns, rows, caption=comparison_title(comparison), row_marks=marks)


def readings(
    comparison: Comparison,
    subject: str | None,
    best: Mapping[Measure, str | None],
    untrained: Sequence[str],
) -> list[Reading]:
    """Return the sentences about `subject`: against floor, best simple model and no training."""
    if subject is None:
        return [Reading("unknown", "No foundation model was run on this dataset.")]
    legacy, strict = comparison.legacy, comparison.strict[0]
    against = [
        (legacy, comparison.floor, "the floor"),
        (strict, comparison.floor, "the floor"),
        (strict, best[strict], "the best simple model"),
        *((strict, model, "its untrained architecture") for model in untrained),
    ]
    return [
        reading(comparison, measure, subject, other, role)
        for measure, other, role in against
        if other
    ]


def reading(
    comparison: Comparison, measure: Measure, subject: str, other: str, role: str
) -> Reading:
    """Say how the interval of `subject` lies to that of `other`."""
    verdict = compare(comparison.estimate(subject, measure), comparison.estimate(other, measure))
    words = VERDICTS[verdict]
    basis = f"{measure.protocol} {measure.name}"
    text = f"{words} {label(other)}, {role}"
    return Reading(verdict, text, basis, measure.protocol, role, label(other))


def compare(one: Estimate | None, other: Estimate | None) -> str:
    """Return where the interval of `one` lies: above, below, overlap; unknown if one has none."""
    if one is None or other is None:
        return "unknown"
    if any(is_missing(end) for end in (one.low, one.high, other.low, other.high)):
        return "unknown"
    if one.low > other.high:
        return "above"
    return "below" if one.high < other.low else "overlap"


def basis(comparison: Comparison, model: str) -> list[str]:
    """Say how many units, groups and seeds stand behind the numbers of a card, by measure."""
    measures = [comparison.legacy, comparison.strict[0], *comparison.more]
    found = [(measure, comparison.row(model, measure)) for measure in measures]
    return [basis_line(measure, row) for measure, row in found if row is not None]


def basis_line(measure: Measure, row: MetricRow) -> str:
    """Say what stands behind one number of a card."""
    over = "" if is_missing(row["ci_unit"]) else f", interval over {plural(row['ci_unit'])}"
    head = "" if is_missing(row["head"]) else f"{label(row['head'])}, "
    return (
        f"{measure.title}: {head}n {count(row['n'])} in {count(row['n_groups'])} groups{over}, "
        f"{count(row['n_seeds'])} {'seed' if row['n_seeds'] == 1 else 'seeds'}, "
        f"{label(row['regime'])}, split {str(row['split_sha256'])[:HASH_LETTERS]}"
    )
