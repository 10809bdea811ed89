"""At a glance: one row a task, with what the paired comparison allows to say under both protocols.

The row of a task is its declared headline: of the first dataset the regime and condition whose
comparisons are the primary family. Whatever else was run stands in a second table of the same form.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from bulkformer.evaluate.comparison_arms import BEST_OF_EACH, NAMED, REFERENCE, scored_on_of
from bulkformer.evaluate.task import first_declared, load_task
from bulkformer.report.cells import (
    MISSING,
    Cell,
    Column,
    Table,
    count,
    decimal,
    interval,
    is_missing,
    label,
    plural,
)
from bulkformer.report.conclusions import comparison_title, subject_of
from bulkformer.report.masks import is_training_mask
from bulkformer.report.measure_names import BELONGS_TO, task_name
from bulkformer.report.paired import VERDICTS
from bulkformer.report.readings import VERDICTS as PLACES
from bulkformer.report.readings import compare
from bulkformer.report.tables import metric_cell
from bulkformer.report.views import Comparison, Measure

NOT_TESTED = "no test"
OTHER_TARGETS = "on other targets"  # the most selective genes, for example, which tell more
NO_SIMPLE = "no simple model"
NONE_ALIKE = "no simple model was asked for the same targets"
SIMPLE_ROLES = (REFERENCE, BEST_OF_EACH)  # the first that there is stands in a row
CHOSEN_HERE = (
    "paired comparison on the same units and targets, both with the same head where a simple model "
    "has it; a cell says by which rule that model was chosen"
)
COLUMNS = [
    Column("Task"),
    *(
        Column(heading, above=protocol, help=help)
        for protocol in ("legacy", "strict")
        for heading, help in (
            ("Pretrained model", "its value by the main measure, with a 95% interval"),
            ("Against the best simple model", CHOSEN_HERE),
            ("Floor", "what is reached without knowing anything of the unit"),
        )
    ),
]


def headlines(compared: Sequence[Comparison], config: Mapping[str, Any]) -> list[Comparison]:
    """Return the declared headline of each task, a task's further question after it."""
    first: dict[str, Comparison] = {}
    for task in dict.fromkeys(each.task for each in compared):
        own = [each for each in compared if each.task == task]
        settings = config.get("evaluate", {}).get(task, {})
        datasets = [data["name"] for data in settings.get("datasets") or ()]
        regimes = list((settings.get("strict") or {}).get("regimes") or ())
        own.sort(
            key=lambda each, datasets=datasets, regimes=regimes: (
                place_in(datasets, each.dataset),
                place_in(regimes, each.regimes.get("strict")),
            )
        )
        first[task] = declared_first([each for each in own if each.dataset == own[0].dataset])
    order = sorted(first, key=lambda task: place_in(list(first), BELONGS_TO.get(task, task)))
    return [first[task] for task in order]


def declared_first(own: Sequence[Comparison]) -> Comparison:
    """Return the comparison in the declared strict regime of a dataset, else the first one."""
    regimes = [each.regimes.get("strict") for each in own]
    named = first_declared(load_task(own[0].task).declared("strict", "regime"), regimes)
    return own[regimes.index(named)] if named is not None else own[0]


def place_in(names: Sequence[str], name: str | None) -> int:
    """Return the place of a name in the configuration's order; what it does not name comes last."""
    return names.index(name) if name in names else len(names)


def glance_tables(
    compared: Sequence[Comparison],
    paired: pd.DataFrame | None,
    config: Mapping[str, Any],
    models: Mapping[str, Mapping[str, Any]],
    mask_fraction: Any = None,
    few: Mapping[str, str] | None = None,
) -> tuple[Table, Table]:
    """Return the headline of each task, and everything else in the same columns.

    Parameters
    ----------
    paired : the table of paired comparisons; without one, only intervals are compared
    mask_fraction : share of genes hidden in pretraining, where it is known
    few : {task: what makes its data small}, shown in the headline's row
    """
    first = headlines(compared, config)
    every = [line for each in compared for line in (each, *each.others)]
    shown = {id(each) for each in first}
    others = [each for each in every if id(each) not in shown]
    return tuple(
        Table(
            name,
            COLUMNS,
            [
                glance_row(each, paired, models, mask_fraction, warned.get(each.task, ""))
                for each in lines
            ],
            caption,
            row_marks=["main" if name == "table-glance" else "" for _ in lines],
        )
        for name, lines, caption, warned in (
            ("table-glance", first, "One row a task", few or {}),
            ("table-glance-others", others, "All other datasets, regimes and conditions", {}),
        )
    )  # type: ignore[return-value]


def glance_sentence(
    compared: Sequence[Comparison],
    paired: pd.DataFrame | None,
    config: Mapping[str, Any],
    models: Mapping[str, Mapping[str, Any]],
) -> str:
    """Count the verdicts of the strict headlines in one sentence."""
    first = headlines(compared, config)
    subject = next((found for each in first if (found := subject_of(each, models))), None)
    if subject is None:
        return "No foundation model took part."
    found = [
        [] if paired is None else reference_rows(each, subject, each.strict[0], paired)
        for each in first
    ]
    words = [VERDICTS[rows[0]["verdict"]][0] for rows in found if rows]
    if not words:
        return f"The pretrained model is {subject}. No paired comparison was made."
    counted = ", ".join(f"{word} in {words.count(word)}" for word in dict.fromkeys(words))
    named = any(is_named(rows[0]) for rows in found if rows)
    which = "best or named" if named else "best"
    return (
        f"The pretrained model is {subject}. Against the {which} simple model of each task, under "
        f"strict: {counted} of {len(words)} headlines."
    )


def is_named(row: Mapping[str, Any]) -> bool:
    """Return whether the configuration names the opponent, which then need not be the best."""
    return str(row["opponent_rule"]).startswith(NAMED)


def glance_row(
    pair: Comparison,
    paired: pd.DataFrame | None,
    models: Mapping[str, Mapping[str, Any]],
    mask_fraction: Any,
    flag: str = "",
) -> list[Cell]:
    """Return one row: value, verdict and floor under legacy, and the same under strict."""
    subject = subject_of(pair, models)
    trained = "; as in training" if is_training_mask(pair.condition, mask_fraction) else ""
    cells = [Cell(task_name(pair.task), comparison_title(pair) + trained, flag=flag)]
    for measure in (pair.legacy, pair.strict[0]):
        regime = pair.regimes.get(measure.protocol)
        if subject is None or regime is None:
            cells += [Cell(MISSING, "not run")] * 3
            continue
        floor = pair.higher_floor(measure)
        cells += [
            value_cell(pair, subject, measure),
            verdict_cell(pair, subject, measure, paired, models),
            value_cell(pair, floor, measure, name=floor_name(pair, subject, floor, measure))
            if floor
            else Cell(MISSING),
        ]
    return cells


def floor_name(pair: Comparison, subject: str, floor: str, measure: Measure) -> str:
    """Name the floor, and say where it answers for other targets than `subject` does."""
    own, other = pair.row(subject, measure), pair.row(floor, measure)
    unlike = own is not None and other is not None and scored_on_of(own) != scored_on_of(other)
    return f"{floor}, {OTHER_TARGETS}" if unlike else floor


def value_cell(pair: Comparison, model: str, measure: Measure, name: str = "") -> Cell:
    """Write the value of a model with its interval; below it the measure, or the model's name."""
    row = pair.row(model, measure)
    known = metric_cell(row)
    if row is None:
        return known
    below = name or measure.name + (f", {label(measure.head)}" if measure.head else "")
    ends = known.note if known.note.startswith("[") else ""
    flag = seen(row["exposure"])
    return Cell(known.text, f"{ends} {below}".strip(), help=known.help, flag=flag)


def seen(exposure: Any) -> str:
    """Say that a number is weakened by what the model had seen; nothing if it is clean."""
    return "" if is_missing(exposure) or exposure == "clean" else f"exposure: {label(exposure)}"


def verdict_cell(
    pair: Comparison,
    subject: str,
    measure: Measure,
    paired: pd.DataFrame | None,
    models: Mapping[str, Mapping[str, Any]],
) -> Cell:
    """Write the verdict of the paired comparison with the reference; else where intervals lie."""
    rows = [] if paired is None else reference_rows(pair, subject, measure, paired)
    if rows:
        row, *others = rows
        word, mark = VERDICTS[row["verdict"]]
        ends = interval(row["mean_low"], row["mean_high"])
        units = f"{count(row['n_units'])} {plural(label(row['unit_kind']))}"
        which = f"{row['opponent']}, {NAMED}" if is_named(row) else row["opponent"]
        said = f"{which}: {decimal(row['mean_difference'])} {ends}".strip()
        opponent = seen(row["opponent_exposure"])
        opponent = opponent and f"{row['opponent']}, {opponent}"
        p = "" if is_missing(row["p_adjusted"]) else f", adjusted p {p_text(row['p_adjusted'])}"
        unlike = [each for each in others if each["verdict"] != row["verdict"]]
        heads = "".join(
            f"; with {label(each['head'])}: {VERDICTS[each['verdict']][0]}" for each in unlike
        )
        return Cell(
            word, f"{said}, {label(row['metric'])} over {units}{p}{heads}", f"verdict {mark}",
            f"{row['sentence']} {row['opponent']}: {row['opponent_rule']}.", opponent,
        )  # fmt: skip
    kinds = {model: about.get("kind", "") for model, about in models.items()}
    best = pair.best_simple(measure, kinds, subject)
    if best is None:
        unlike = pair.best_simple(measure, kinds) is not None
        return Cell(MISSING, NONE_ALIKE if unlike else NO_SIMPLE)
    own, other = pair.estimates(subject, best, measure)
    found = compare(own, other)
    value = decimal(other.value) if other is not None else MISSING
    return Cell(PLACES[found], f"{best} {value}; {NOT_TESTED}, intervals only", f"verdict {found}")


def p_text(value: float) -> str:
    """Write a p; one that rounds to 0 is not 0."""
    return "below 0.001" if value < 0.0005 else decimal(value)


def reference_rows(
    pair: Comparison, subject: str, measure: Measure, paired: pd.DataFrame
) -> list[dict[str, Any]]:
    """Return the comparisons of `subject` with the reference by the declared score, one a head.

    The head that the measure names comes first. Where no simple model has a head of `subject`, its
    best head stands against the best simple model.
    """
    task, regime = load_task(pair.task), pair.regimes.get(measure.protocol)
    own = paired[
        (paired["task"] == pair.task)
        & (paired["protocol"] == measure.protocol)
        & (paired["dataset"] == pair.dataset)
        & (paired["regime"] == regime)
        & (paired["metric"] == task.paired.get(measure.protocol))
        & (paired["model"] == subject)
    ]
    decides = first_declared(task.paired_units.get(regime, ()), set(own["unit_kind"]))
    rows = [
        row
        for row in own.to_dict("records")
        if (None if is_missing(row["condition"]) else row["condition"]) == pair.condition
        and decides in (None, row["unit_kind"])
    ]
    of_role = {role: [row for row in rows if row["role"] == role] for role in SIMPLE_ROLES}
    found = next((some for some in of_role.values() if some), [])
    return sorted(found, key=lambda row: row["head"] != measure.head)
