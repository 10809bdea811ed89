"""What may be concluded: for each dataset one small table, and what its intervals allow to say.

Numbers stand as they are in the metrics table; readings compare their intervals.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bulkformer.report.cells import (
    Cell,
    Column,
    Table,
    count,
    decimal,
    is_missing,
    label,
    plural,
    spoken,
)
from bulkformer.report.masks import is_training_mask
from bulkformer.report.measure_names import task_name
from bulkformer.report.readings import (
    Reading,
    at_another_mask,
    compare,
    readings,
    untrained_models,
)
from bulkformer.report.tables import (
    HASH_LETTERS,
    exposure_both,
    measure_column,
    metric_cell,
    model_cell,
)
from bulkformer.report.views import Comparison, Measure, MetricRow

SUBJECT = "bulkformer"
ORACLE = "study_oracle"
TRAINED = "{} is what the model was trained on"
# Tasks whose samples come from studies that the folds may cut.
SPLIT_BY_GROUP = ("disease_annotation", "prognosis")
NEARLY_ALL = 0.9  # a study oracle from here up leaves next to nothing for expression to tell
EXTERNAL_ZEROS = (
    "Legacy scores genes that the cohort did not measure as zeros, strict does not score them: the "
    "same samples give other values under the two protocols."
)


@dataclass(frozen=True)
class Card:
    """One dataset: a heading, sentences, a small table, and what stands behind the numbers.

    `elsewhere` holds one line for each condition that the table does not show.
    """

    kicker: str
    title: str
    subject: str
    facts: Sequence[str]
    readings: Sequence[Reading]
    elsewhere: Sequence[Reading]
    cautions: Sequence[str]
    table: Table
    footnotes: Sequence[str]
    basis: Sequence[str]


def card(
    comparison: Comparison,
    name: str,
    models: Mapping[str, Mapping[str, Any]],
    mask_fraction: float | None = None,
    groups: str = "",
) -> Card:
    """Return the card of one dataset.

    Parameters
    ----------
    models : rows of the models table by name; the sentences are about `bulkformer` or else the
        first foundation model that took part, so that no result chooses it
    mask_fraction : share of genes hidden in pretraining, where it is known
    groups : kind of group that the configuration names, for data without any interval
    """
    kinds = {model: row.get("kind", "") for model, row in models.items()}
    present = set(comparison.rows["model"])
    foundation = [model for model in models if model in present and kinds[model] == "foundation"]
    subject = subject_of(comparison, models)
    return Card(
        kicker=task_name(comparison.task),
        title=comparison_title(comparison),
        subject=str(subject or ""),
        facts=facts(comparison, mask_fraction, groups),
        readings=readings(comparison, subject, kinds, untrained_models(comparison, models)),
        elsewhere=[at_another_mask(each, subject) for each in comparison.others if subject],
        cautions=cautions(comparison),
        table=card_table(comparison, name, roles(comparison, foundation, kinds, models), models),
        footnotes=[EXTERNAL_ZEROS]
        if comparison.task == "imputation" and "external" in comparison.regimes.values()
        else [],
        basis=basis(comparison, subject or comparison.floor),
    )


def subject_of(comparison: Comparison, models: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Return the model that sentences are about, None if no foundation model took part."""
    present = set(comparison.rows["model"])
    kinds = {model: row.get("kind", "") for model, row in models.items()}
    foundation = [model for model in models if model in present and kinds[model] == "foundation"]
    return SUBJECT if SUBJECT in foundation else next(iter(foundation), None)


def roles(
    comparison: Comparison,
    foundation: Sequence[str],
    kinds: Mapping[str, str],
    models: Mapping[str, Mapping[str, Any]],
) -> dict[str, list[str]]:
    """Return the models of a card with what each stands for."""
    found: dict[str, list[str]] = {model: [] for model in foundation}
    legacy, strict = comparison.legacy, comparison.strict[0]
    subject = subject_of(comparison, models)
    best = {
        measure: comparison.best_simple(measure, kinds, subject) for measure in (strict, legacy)
    }
    if best[strict] == best[legacy] and best[strict]:
        found.setdefault(best[strict], []).append("best simple model under both")
    else:
        for measure, model in best.items():
            if model:
                found.setdefault(model, []).append(f"best simple model, {measure.protocol}")
    present = set(comparison.rows["model"])
    for model, role in comparison.floors.items():
        if model in present or model == comparison.floor:
            found.setdefault(model, []).append(role)
    if ORACLE in present:
        found.setdefault(ORACLE, []).append(
            "says the most frequent class of the sample's study; high: the label is the study"
        )
    for model in untrained_models(comparison, models):
        found.setdefault(model, []).append("untrained weights")
    return found


def facts(comparison: Comparison, mask_fraction: float | None, groups: str) -> list[str]:
    """Say which groups strict keeps apart, and whether the mask is that of the training."""
    measure = comparison.strict[0]
    rows = comparison.rows
    own = rows[(rows["protocol"] == "strict") & (rows["metric"] == measure.metric)]
    unit = next((each for each in own["ci_unit"] if not is_missing(each)), groups)
    found = []
    if unit:
        found.append(f"Groups of this dataset: {plural(unit)}.")
        if comparison.task in SPLIT_BY_GROUP and unit != "study":
            found.append("Samples of one study may lie on both sides of a split.")
    if is_training_mask(comparison.condition, mask_fraction):
        found.append(f"{TRAINED.format(comparison.condition.split()[-1])}.")
    return found


def cautions(comparison: Comparison) -> list[str]:
    """Say where knowing the study is enough to know the label, under the strict protocol."""
    measure = comparison.strict[0]
    oracle = comparison.estimate(ORACLE, measure)
    if oracle is None:
        return []
    value = f"{ORACLE} reaches {decimal(oracle.value)} ({measure.protocol} {measure.name})"
    if oracle.value >= NEARLY_ALL:
        return [f"The label is the study: {value} without looking at any gene."]
    floor = comparison.estimate(comparison.higher_floor(measure), measure)
    if compare(oracle, floor) == "above":
        return [f"The study tells part of the label: {value}, above the floor."]
    return []


def comparison_title(comparison: Comparison) -> str:
    """Name a dataset, with the condition where a task has conditions."""
    condition = f", {spoken(comparison.condition)}" if comparison.condition else ""
    strict = comparison.regimes.get("strict", "") if comparison.one_of_several else ""
    return comparison.dataset + (strict and f", {label(strict)}") + condition


def card_table(
    comparison: Comparison,
    name: str,
    roles: Mapping[str, Sequence[str]],
    models: Mapping[str, Mapping[str, Any]],
) -> Table:
    """Return the rows that matter most, legacy beside strict; roles stand below the names."""
    measures = [comparison.legacy, *comparison.strict, *comparison.more]
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
        marks.append("floor" if model in comparison.floors else "")
    columns = [
        Column("Model"),
        *(
            measure_column(
                measure, name_head=len(comparison.strict) > 1 and measure.protocol == "strict"
            )
            for measure in measures
        ),
        Column("Exposure"),
    ]
    return Table(name, columns, rows, caption=comparison_title(comparison), row_marks=marks)


def basis(comparison: Comparison, model: str) -> list[str]:
    """Say how many units, groups and seeds stand behind the numbers of a card, by measure."""
    measures = [comparison.legacy, *comparison.strict, *comparison.more]
    found = [(measure, comparison.row(model, measure)) for measure in measures]
    return [basis_line(measure, row) for measure, row in found if row is not None]


def basis_line(measure: Measure, row: MetricRow) -> str:
    """Say what stands behind one number of a card."""
    over = "" if is_missing(row["ci_unit"]) else f", interval over {plural(row['ci_unit'])}"
    head = "" if is_missing(row["head"]) else f"{row['head']}, "
    return (
        f"{measure.title}: {head}n {count(row['n'])} in {count(row['n_groups'])} groups{over}, "
        f"{count(row['n_seeds'])} {'seed' if row['n_seeds'] == 1 else 'seeds'}, "
        f"{row['regime']}, split {str(row['split_sha256'])[:HASH_LETTERS]}"
    )
