"""Tables of what went in: cohorts, corpus, models, exposure, sources.

Everything here was written by the stage that knows it. A field that a stage did not write shows as
a dash, so that a reader sees that it is missing.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from bulkformer.report.cells import (
    MISSING,
    Cell,
    Column,
    Table,
    count,
    count_cell,
    is_missing,
    label,
    text_cell,
)
from bulkformer.report.inputs import Inputs
from bulkformer.report.tables import exposure_cell, model_cell

SPLITS = ("train", "validation", "validation_samples", "held_out_groups", "held_out_samples")
SPLIT_NAMES = {
    "train": "training",
    "validation": "validation, chooses the weights",
    "validation_samples": "validation within trained studies, watched only",
    "held_out_groups": "held-out groups, strict test",
    "held_out_samples": "held-out samples, legacy test",
}
ALL_SAMPLES = "all_samples"  # the ledger's row about a whole cohort


def cohort_table(inputs: Inputs) -> Table:
    """Return what became of each cohort, and where it is from under which licence."""
    sources = sources_by_name(inputs.provenance["sources"])
    rows = []
    for coverage in inputs.coverage:
        name = coverage.get("cohort", "")
        described = inputs.provenance["cohorts"].get(name, {})
        source = sources.get(str(described.get("expression", "")), {})
        dropped = coverage.get("samples_dropped") or {}
        reasons = ", ".join(f"{count(n)} {label(reason)}" for reason, n in sorted(dropped.items()))
        rows.append(
            [
                text_cell(name, described.get("description", "")),
                source_cell(described.get("expression"), source, inputs.simulated),
                text_cell("none: simulated" if inputs.simulated else source.get("licence")),
                count_cell(coverage.get("samples")),
                count_cell(coverage.get("samples_kept")),
                text_cell(reasons or "none dropped"),
                share_cell(coverage, "genes_measured", "vocabulary_genes"),
                count_cell(coverage.get("median_library_size")),
                count_cell(coverage.get("median_genes_detected")),
            ]
        )
    return Table(
        "table-cohorts",
        [
            Column("Cohort"), Column("Source"), Column("Licence"), Column("Samples", True),
            Column("Kept", True), Column("Dropped, first reason", wide=True),
            Column("Genes measured", True),
            Column("Median reads", True, "counts in vocabulary genes of kept samples"),
            Column("Median genes detected", True, "vocabulary genes with a count above zero"),
        ],
        rows,
    )  # fmt: skip


def source_cell(path: Any, source: Mapping[str, Any], simulated: bool) -> Cell:
    """Name the source of a cohort; a simulated file only has the form of the real one."""
    if is_missing(path):
        return Cell(MISSING)
    name = str(source.get("source") or path)
    version = source.get("version") or ""
    if simulated:
        return Cell("simulated", f"in the format of {name} {version}".strip())
    return Cell(f"{name} {version}".strip(), str(source.get("citation") or ""))


def sources_by_name(sources: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Return rows of the sources table by 'source/file', as other tables call them."""
    return {f"{row.get('source')}/{row.get('file')}": row for row in sources}


def share_cell(content: Mapping[str, Any], part: str, whole: str) -> Cell:
    """Write a count with the total below it."""
    total = content.get(whole)
    return count_cell(content.get(part), "" if is_missing(total) else f"of {count(total)}")


def corpus_table(corpus: Mapping[str, Any]) -> Table:
    """Return samples of each side of the split, by cohort, with the number of groups."""
    by_cohort = corpus.get("samples_by_cohort_and_split") or {}
    by_split = corpus.get("samples_by_split") or {}
    groups = corpus.get("groups_by_split") or {}
    known = [split for split in SPLITS if split in by_split]
    known += sorted(set(by_split) - set(known))
    rows = [
        [
            text_cell(SPLIT_NAMES.get(split, label(split))),
            count_cell(by_split[split]),
            count_cell(groups.get(split)),
            *(count_cell(splits.get(split, 0)) for splits in by_cohort.values()),
        ]
        for split in known
    ]
    several = list(by_cohort) if len(by_cohort) > 1 else []
    return Table(
        "table-corpus",
        [
            Column("Part"), Column("Samples", True), Column("Groups", True),
            *(Column(str(name), True) for name in several),
        ],
        [row[: 3 + len(several)] for row in rows],
        "Groups are samples tied by a shared study, patient or donor; none lies on both sides of "
        "training and the strict test.",
    )  # fmt: skip


def corpus_facts(corpus: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return how the corpus was split."""
    return [
        ("cohorts", ", ".join(map(label, corpus.get("cohorts") or [])) or MISSING),
        ("tied by", ", ".join(corpus.get("group_by") or []) or MISSING),
        ("samples listed more than once", count(corpus.get("samples_repeated"))),
        ("largest group", f"{count(corpus.get('largest_group'))} samples"),
        ("SHA-256 of the corpus", str(corpus.get("corpus_sha256") or MISSING)),
    ]


def model_table(inputs: Inputs) -> Table:
    """Return every model of the metrics table and of the models table, with what it is."""
    described = inputs.provenance["models"]
    present = list(inputs.metrics["model"].unique())
    rows = []
    for model in [*described, *sorted(set(present) - set(described))]:
        row = described.get(model, {})
        tasks = inputs.metrics.loc[inputs.metrics["model"] == model, "task"].unique()
        rows.append(
            [
                Cell(model, mark=row.get("kind", "")),
                text_cell(row.get("kind")),
                weights_cell(row.get("weights")),
                text_cell(row.get("description")),
                text_cell(", ".join(map(label, tasks)) or "not run"),
            ]
        )
    return Table(
        "table-models",
        [
            Column("Model"), Column("Kind"), Column("Weights"), Column("What it is", wide=True),
            Column("Tasks"),
        ],
        rows,
    )  # fmt: skip


def weights_cell(weights: Any) -> Cell:
    """Write where weights come from; random ones are marked."""
    if weights == "random":
        return Cell("random: untrained", mark="random")
    return text_cell(weights)


def exposure_table(inputs: Inputs) -> Table:
    """Return one row a model and one column a cohort, or held-out part of one."""
    ledger = inputs.exposure
    places = list(ledger[["cohort", "regime"]].drop_duplicates().itertuples(index=False, name=None))
    states = {
        (row["model"], row["cohort"], row["regime"]): exposure_cell(
            row["exposure"], "" if is_missing(row["evidence"]) else row["evidence"]
        )
        for _, row in ledger.iterrows()
    }
    rows = [
        [
            model_cell(model, inputs.kind(model), own["weights"].iloc[0]),
            *(states.get((model, *place), Cell(MISSING)) for place in places),
        ]
        for model, own in ledger.groupby("model", sort=False)
    ]
    columns = [Column("Model"), *(Column(place_name(*place)) for place in places)]
    return Table(
        "table-exposure", columns, rows,
        "Before it was tested, had a model seen the cohort? Corpus cohorts have a column for each "
        "held-out part as well.",
    )  # fmt: skip


def place_name(cohort: str, regime: str) -> str:
    """Name a cohort, or a part of it."""
    return cohort if regime == ALL_SAMPLES else f"{cohort}: {regime}"


def evidence_table(inputs: Inputs) -> Table:
    """Return the ledger of exposure with the evidence of each entry."""
    return Table(
        "table-evidence",
        [Column("Model"), Column("Cohort"), Column("Exposure"), Column("Evidence", wide=True)],
        [
            [
                model_cell(row["model"], inputs.kind(row["model"]), row["weights"]),
                text_cell(place_name(row["cohort"], row["regime"])),
                exposure_cell(row["exposure"]),
                text_cell(row["evidence"]),
            ]
            for _, row in inputs.exposure.iterrows()
        ],
        filterable=True,
    )


def source_table(inputs: Inputs) -> Table:
    """Return the files of the sources table with licence and citation."""
    return Table(
        "table-sources",
        [Column("File"), Column("Version"), Column("Licence"), Column("Citation", wide=True)],
        [
            [
                text_cell(f"{row.get('source')}/{row.get('file')}"),
                text_cell(row.get("version")), text_cell(row.get("licence")),
                text_cell(row.get("citation")),
            ]
            for row in inputs.provenance["sources"]
        ],
    )  # fmt: skip
