"""Tables of what became of the files: cohorts on the gene axis, corpus, overlap, outcomes, graphs.

Everything here was written by the stage that knows it; a field that a stage did not write shows as
a dash.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bulkformer.report.cells import (
    MISSING,
    Cell,
    Column,
    Table,
    count,
    count_cell,
    decimal,
    label,
    text_cell,
)
from bulkformer.report.data_inputs import DataInputs
from bulkformer.report.learning import describe
from bulkformer.report.materials import share_cell
from bulkformer.report.tables import HASH_LETTERS

# Keys of a coverage that list identifiers, and how the page calls them.
NAMES = {
    "ambiguous": "could mean two genes",
    "repeated_symbols": "twice in the file",
    "damaged_symbols": "damaged symbols",
    "unmatched_examples": "unmatched, such as",
    "summed_examples": "summed, such as",
}
SHOWN_NAMES = 24
IN_CORPUS_TABLES = {
    *("samples_by_split", "groups_by_split", "samples_by_cohort_and_split", "duplicate_pairs")
}
IN_OUTCOME_TABLE = {"table", "rows", "dropped", "joined", "files", "licence"}


def sample_table(inputs: DataInputs) -> Table:
    """Return how each cohort is written, and which of its samples were kept."""
    rows = []
    for coverage in inputs.coverage:
        name = coverage.get("cohort", "")
        dropped = coverage.get("samples_dropped")
        reasons = ", ".join(
            f"{count(n)} {label(reason)}" for reason, n in sorted((dropped or {}).items())
        )
        rows.append(
            [
                text_cell(name, inputs.cohorts.get(name, {}).get("description", "")),
                text_cell(coverage.get("format"), unit_note(coverage)),
                count_cell(coverage.get("samples")),
                count_cell(coverage.get("samples_kept")),
                text_cell(MISSING if dropped is None else reasons or "none dropped"),
                count_cell(
                    coverage.get("median_library_size"),
                    f"{count(coverage.get('median_genes_detected'))} genes detected",
                ),
            ]
        )
    return Table(
        "table-samples",
        [
            Column("Cohort"), Column("Format, unit"), Column("Samples", True),
            Column("Kept", True), Column("Dropped, first reason", wide=True),
            Column(
                "Median reads", True,
                "counts in vocabulary genes of kept samples; below, genes with a count above zero",
            ),
        ],
        rows,
        empty="No cohort was read.",
    )  # fmt: skip


def unit_note(coverage: Mapping[str, Any]) -> str:
    """Say what the values are, and what the provider had done to them, which reading undid."""
    transform = coverage.get("transform")
    return label(coverage.get("unit") or MISSING) + (f", as {transform}" if transform else "")


def gene_table(inputs: DataInputs) -> Table:
    """Return how the genes of each cohort found their place on the gene axis."""
    return Table(
        "table-genes",
        [
            Column("Cohort, identifiers"), Column("Rows in the file", True),
            Column("Genes measured", True), Column("Rows matched", True),
            Column("Genes summed", True, "several rows of the file mean the gene"),
            Column("Ambiguous", True, "names that could mean two genes; left out, never guessed"),
            Column("Repeated", True, "symbols that stand twice; left out"),
            Column("Damaged", True, "symbols that a spreadsheet changed; left out"),
            Column("Unmatched", True, "rows that mean no gene of the vocabulary"),
        ],
        [
            [
                text_cell(coverage.get("cohort"), coverage.get("gene_ids") or MISSING),
                count_cell(coverage.get("genes_in_file")),
                share_cell(coverage, "genes_measured", "vocabulary_genes"),
                count_cell(coverage.get("genes_matched")),
                count_cell(
                    coverage.get("genes_summed"),
                    f"{count(coverage.get('copies_on_y_summed'))} copies on Y",
                ),
                *(
                    length_cell(coverage.get(key))
                    for key in ("ambiguous", "repeated_symbols", "damaged_symbols")
                ),
                count_cell(coverage.get("unmatched")),
            ]
            for coverage in inputs.coverage
        ],
        "A gene that a cohort did not measure is marked as such and never taken for zero.",
        empty="No cohort was read.",
    )  # fmt: skip


def length_cell(names: Sequence[str] | None) -> Cell:
    """Write how many names a list holds."""
    return count_cell(None if names is None else len(names))


def name_lists(inputs: DataInputs) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return, for each cohort, the identifiers that need a look."""
    found = []
    for coverage in inputs.coverage:
        terms = [
            (name, shortened(coverage[key])) for key, name in NAMES.items() if coverage.get(key)
        ]
        if terms:
            found.append((str(coverage.get("cohort", "")), terms))
    return found


def shortened(names: Sequence[str] | Mapping[str, Sequence[str]]) -> str:
    """Write a list of names, or {gene: rows}, up to a length that can be read."""
    words = (
        [f"{gene} from {' + '.join(rows)}" for gene, rows in names.items()]
        if isinstance(names, Mapping)
        else [str(name) for name in names]
    )
    more = len(words) - SHOWN_NAMES
    return ", ".join(words[:SHOWN_NAMES]) + (f" and {count(more)} more" if more > 0 else "")


def corpus_terms(corpus: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return everything that the corpus step said besides the sizes of the split."""
    return [
        (label(key), describe(value))
        for key, value in sorted(corpus.items())
        if key not in IN_CORPUS_TABLES
    ]


def copies_table(corpus: Mapping[str, Any]) -> Table:
    """Return how many pairs of corpus samples are one profile under two names, with examples."""
    return Table(
        "table-copies",
        [Column("Copies told by"), Column("Pairs", True), Column("For example", wide=True)],
        [
            [
                text_cell(label(kind)),
                count_cell(found.get("pairs")),
                text_cell("; ".join(map(copy, found.get("examples") or []))),
            ]
            for kind, found in (corpus.get("duplicate_pairs") or {}).items()
        ],
        empty="No sample is in the corpus under two names.",
    )


def copy(pair: Mapping[str, Any]) -> str:
    """Write two samples that are one profile."""
    names = [
        f"{pair.get('cohort')} {pair.get('sample_id')}",
        f"{pair.get('other_cohort')} {pair.get('other_sample_id')}",
    ]
    return f"{' and '.join(names)} (r {decimal(pair.get('correlation'))})"


def outcome_table(inputs: DataInputs) -> Table:
    """Return the outcome tables: rows, what was dropped, how ids joined, from which files."""
    return Table(
        "table-outcomes",
        [
            Column("Table"), Column("Rows", True), Column("Dropped, by reason", wide=True),
            Column("Joined", wide=True), Column("Files, licence", wide=True),
        ],
        [
            [
                text_cell(label(outcome["table"])),
                count_cell(outcome.get("rows")),
                text_cell(in_brackets(outcome.get("dropped"))),
                text_cell(in_brackets(outcome.get("joined"))),
                text_cell(
                    describe(outcome.get("files")),
                    "none: simulated"
                    if inputs.simulated
                    else describe(outcome.get("licence")),
                ),
            ]
            for outcome in inputs.outcomes
        ],
        empty="No table of outcomes was made.",
    )  # fmt: skip


def outcome_terms(inputs: DataInputs) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return, for each outcome table, everything that its step said and the table does not show."""
    return [
        (
            label(outcome["table"]),
            [
                (label(key), in_brackets(value))
                for key, value in sorted(outcome.items())
                if key not in IN_OUTCOME_TABLE
            ],
        )
        for outcome in inputs.outcomes
    ]


def in_brackets(value: Any) -> str:
    """Write a value of a JSON file in one line; what belongs to a key of its own is in brackets."""
    if isinstance(value, list):
        return "; ".join(map(describe, value)) or "none"
    if not isinstance(value, Mapping):
        return describe(value)
    parts = [
        f"{label(key)} ({in_brackets(item)})"
        if isinstance(item, Mapping)
        else f"{label(key)} {describe(item)}"
        for key, item in value.items()
    ]
    return ", ".join(parts) or "none"


def graph_table(inputs: DataInputs) -> Table:
    """Return from what each gene graph was made, and its size."""
    return Table(
        "table-graphs",
        [
            Column("Graph"), Column("Made from, weight of an edge", wide=True),
            Column("Cohorts or files", wide=True),
            Column("Samples", True, "below, the first letters of the SHA-256 of their ids"),
            Column("Edges", True),
        ],
        [
            [
                text_cell(graph["graph"]),
                text_cell(describe(graph.get("origin")), describe(graph.get("weight"))),
                text_cell(describe(graph.get("cohorts") or graph.get("files"))),
                count_cell(
                    graph.get("samples_used"), str(graph.get("samples_sha256") or "")[:HASH_LETTERS]
                ),
                count_cell(graph.get("n_edges")),
            ]
            for graph in inputs.graphs
        ],
        empty="No graph was built.",
    )  # fmt: skip
