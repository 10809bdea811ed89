"""The table of the samples of each cohort that occur in the corpus as well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bulkformer.report.cells import Column, Table, count, count_cell, decimal, label, text_cell
from bulkformer.report.data_inputs import DataInputs
from bulkformer.report.materials import share_cell

KINDS = {
    "sample_id": Column("By sample id", True, "the same accession"),
    "biosample": Column("By BioSample", True, "another accession of the same specimen"),
    "expression": Column("By expression", True, "no shared id, but the same profile"),
}


def overlap_table(inputs: DataInputs) -> Table:
    """Return, for each cohort, how many samples the corpus holds as well, and how that is known."""
    return Table(
        "table-overlap",
        [
            Column("Cohort"),
            Column("In the corpus", True, "samples with one copy or more in the corpus"),
            *KINDS.values(),
            Column("On which side of the split", wide=True),
            Column(
                "Known copies that expression finds too", True,
                "of the pairs that share an id: how well expression does where no id tells",
            ),
        ],
        [
            [
                text_cell(overlap["cohort"]),
                share_cell(overlap, "n_shared", "n_samples"),
                *(count_cell((overlap.get("n_shared_by_kind") or {}).get(kind)) for kind in KINDS),
                text_cell(sides(overlap.get("n_shared_by_split"))),
                count_cell(overlap.get("accession_pairs_found_by_expression"), evidence(overlap)),
            ]
            for overlap in inputs.overlap
        ],
        "A sample with several copies is counted once for each kind of evidence and once for each "
        "side of the split.",
        empty="No cohort was compared with the corpus.",
    )  # fmt: skip


def sides(by_split: Mapping[str, int] | None) -> str:
    """Write on which side of the split the copies are."""
    return ", ".join(f"{count(n)} {label(side)}" for side, n in (by_split or {}).items())


def evidence(overlap: Mapping[str, Any]) -> str:
    """Write of how many pairs with a shared id, and from which correlation on."""
    return (
        f"of {count(overlap.get('accession_pairs'))} pairs, "
        f"r ≥ {decimal(overlap.get('correlation'))}"
    )
