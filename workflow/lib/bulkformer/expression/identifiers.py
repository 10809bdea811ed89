"""Brings the gene identifiers of a file onto the vocabulary, and says what became of each.

Only an identifier that means exactly one gene counts. An ambiguous name is listed and never guessed
at: a gene without counts is visibly unmeasured, but a gene with another gene's counts is wrong.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from bulkformer.errors import InputError
from bulkformer.expression.vocabulary import Vocabulary

EXAMPLES = 20

# Version suffix and the two GENCODE spellings of the copy on Y of a gene that recombines between X
# and Y: `_PAR_Y` (GENCODE 25 to 43) and ENSGR (before).
ENSEMBL = re.compile(r"ENSG(R?)(\d+)(?:\.\d+)?(_PAR_Y)?(?:\.\d+)?")
MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sept?|oct|nov|dec)"
# What spreadsheets make of MARCHF1, SEPTIN2, DEC1 and of RIKEN-like names: dates, the serial number
# of a date (five digits are the years 1927 to 2173), and scientific notation.
DAMAGED = re.compile(
    rf"\d{{1,2}}-{MONTH}(?:-\d+)?|{MONTH}-\d{{1,4}}|\d{{1,4}}[-/]\d{{1,2}}[-/]\d{{1,4}}"
    r"|\d{5}(?:\.0)?|\d(?:\.\d+)?E\+\d+",
    re.IGNORECASE,
)


def ensembl_id(identifier: str) -> str | None:
    """Return the Ensembl gene id without version; the copy on Y gets the id of the copy on X.

    None if `identifier` is no human Ensembl gene id.
    """
    match = ENSEMBL.fullmatch(identifier.strip())
    if match is None:
        return None
    return f"ENSG{'0' if match[1] else ''}{match[2]}"


def is_copy_on_y(identifier: str) -> bool:
    """Return whether an Ensembl id names the Y copy of a pseudoautosomal gene."""
    match = ENSEMBL.fullmatch(identifier.strip())
    return match is not None and bool(match[1] or match[3])


def is_damaged(symbol: str) -> bool:
    """Return whether a gene symbol is what a spreadsheet made of one ("1-Mar", "44256")."""
    return DAMAGED.fullmatch(symbol.strip()) is not None


def entrez_id(identifier: str) -> str:
    """Return an Entrez id as digits; "7157.0" comes from tables with empty cells."""
    return identifier.strip().removesuffix(".0")


# Identifier system -> what an identifier of a file is looked up as, None if it names no gene.
SYSTEMS: dict[str, Callable[[str], str | None]] = {
    "ensembl": ensembl_id,
    "entrez": entrez_id,
    "symbol": str.strip,
    # The symbols of these files are old or "?", the Entrez ids are not.
    "symbol_entrez": lambda identifier: entrez_id(identifier.rpartition("|")[2]),
}


@dataclass(frozen=True)
class GeneMapping:
    """Where the genes of a file lie on the vocabulary.

    Attributes
    ----------
    column : int64 [n_genes_in_file], index in the vocabulary, -1 for rows that are not used
    measured : bool [n_genes], True where at least one row of the file means the gene
    summary : what was matched, summed and left out, ready for JSON
    """

    column: np.ndarray
    measured: np.ndarray
    summary: dict[str, Any]
    _rounds: list[tuple[np.ndarray, np.ndarray]]

    @property
    def rows(self) -> np.ndarray:
        """Rows of the file that mean a gene of the vocabulary, ascending."""
        return np.flatnonzero(self.column >= 0)

    @cached_property
    def _first(self) -> np.ndarray:
        """The first row of the file that means each gene, 0 for genes without one."""
        first = np.zeros(len(self.measured), dtype=np.intp)
        rows, columns = self._rounds[0]
        first[columns] = rows
        return first

    def within(self, rows: np.ndarray) -> GeneMapping:
        """Return the mapping of a file that has only `rows`, ascending, among them all of ours."""
        moved = [(np.searchsorted(rows, of_file), columns) for of_file, columns in self._rounds]
        return GeneMapping(self.column[rows], self.measured, self.summary, moved)

    def project(self, counts: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Return counts float32 [n, n_genes] on the vocabulary, NaN where not measured.

        `counts` is [n, n_genes_in_file]; whole numbers up to 2^24 stay exact. Rows that mean one
        gene are summed, in an order that does not depend on their order in the file. The result
        is written to `out` if given.
        """
        if out is None:
            out = np.empty((len(counts), len(self.measured)), dtype=np.float32)
        if not self._rounds:
            out[:] = np.nan
            return out
        first = self._first
        # Converted before they are gathered, because memory is read faster in its order.
        single = counts.astype(np.float32, copy=False)
        single.take(first, axis=1, out=out, mode="clip")
        for number, (rows, columns) in enumerate(self._rounds[1:]):
            if number == 0:  # every gene of a later round is one of this round
                summed, totals = columns, counts[:, first[columns]].astype(np.float64)
            totals[:, np.searchsorted(summed, columns)] += counts[:, rows]
        if len(self._rounds) > 1:
            out[:, summed] = totals
        out[:, ~self.measured] = np.nan
        return out


def map_genes(identifiers: Sequence[str], system: str, vocabulary: Vocabulary) -> GeneMapping:
    """Match the identifiers of a file with the vocabulary.

    Parameters
    ----------
    identifiers : one a gene row, as the file has them
    system : "ensembl", "entrez", "symbol" or "symbol_entrez" ("SYMBOL|ENTREZ")

    Several identifiers of one gene (versions, the copies on X and Y, an old and a new symbol,
    merged Entrez ids) are summed in counts. A symbol that stands twice in a file is left out,
    because nothing says whether the rows are one gene. Copies on Y are left out if the vocabulary
    says so, and a gene without a length counts as unmeasured. Raises InputError for an unknown
    system.
    """
    if system not in SYSTEMS:
        raise InputError(
            f"gene identifier system '{system}' is unknown; known are {', '.join(SYSTEMS)}"
        )
    known, ambiguous = vocabulary.names(system)
    names = [SYSTEMS[system](identifier) for identifier in identifiers]
    repeated: set[str] = set()
    if system == "symbol":
        repeated = {name for name, times in Counter(names).items() if times > 1 and name}
    copies: set[int] = set()
    if system == "ensembl":
        copies = {at for at, identifier in enumerate(identifiers) if is_copy_on_y(identifier)}
    dropped = copies if vocabulary.drops_copies_on_y else set()
    column = np.array(
        [-1 if name is None or name in repeated else known.get(name, -1) for name in names],
        dtype=np.int64,
    )
    column[list(dropped)] = -1
    unmeasurable = np.flatnonzero((column >= 0) & ~vocabulary.has_length[column])
    column[unmeasurable] = -1
    rows_of: dict[int, list[int]] = defaultdict(list)
    for row in np.flatnonzero(column >= 0):
        rows_of[int(column[row])].append(int(row))
    for rows in rows_of.values():
        rows.sort(key=lambda row: identifiers[row])
    measured = np.zeros(len(vocabulary), dtype=bool)
    measured[list(rows_of)] = True

    explained = dropped | set(unmeasurable.tolist())
    left_out = [at for at in range(len(names)) if column[at] < 0 and at not in explained]
    shared = {names[at] for at in left_out if names[at] in ambiguous and names[at] not in repeated}
    damaged = {identifiers[at] for at in left_out if system == "symbol"}
    damaged = {identifier for identifier in damaged if is_damaged(identifier)}
    unmatched = [
        identifiers[at]
        for at in left_out
        if names[at] not in shared | repeated and identifiers[at] not in damaged
    ]
    summed = {column: rows for column, rows in rows_of.items() if len(rows) > 1}
    own_names = vocabulary.own_names(system)
    by_other_name = [row for row in np.flatnonzero(column >= 0) if names[row] not in own_names]
    absent = np.flatnonzero(~measured)
    summary = {
        "gene_ids": system,
        "genes_in_file": len(identifiers),
        "genes_matched": int((column >= 0).sum()),
        "genes_measured": int(measured.sum()),
        "vocabulary_genes": len(vocabulary),
        "vocabulary_share": float(measured.mean()) if len(measured) else 0.0,
        "genes_summed": len(summed),
        "summed_examples": {
            vocabulary.gene_ids[column]: [identifiers[row] for row in summed[column]]
            for column in sorted(summed)[:EXAMPLES]
        },
        "matched_by_other_name": len(by_other_name),
        "matched_by_other_name_examples": {
            identifiers[row]: vocabulary.gene_ids[column[row]] for row in by_other_name[:EXAMPLES]
        },
        "copies_on_y_summed": int((column[sorted(copies)] >= 0).sum()),
        "copies_on_y_dropped": len(dropped),
        "genes_without_length": len({names[row] for row in unmeasurable}),
        "genes_absent": len(absent),
        "genes_absent_examples": [vocabulary.gene_ids[column] for column in absent[:EXAMPLES]],
        "unmatched": len(unmatched),
        "unmatched_examples": sorted(set(unmatched))[:EXAMPLES],
        "ambiguous": sorted(shared),
        "repeated_symbols": sorted(repeated & (known.keys() | ambiguous)),
        "damaged_symbols": sorted(damaged),
    }
    return GeneMapping(column, measured, summary, _rounds(rows_of))


def _rounds(rows_of: dict[int, list[int]]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return (rows, columns) of the first row of every gene, then of the second, and so on."""
    rounds = []
    for number in range(max(map(len, rows_of.values()), default=0)):
        columns = sorted(column for column, rows in rows_of.items() if len(rows) > number)
        rows = [rows_of[column][number] for column in columns]
        rounds.append((np.array(rows, dtype=np.int64), np.array(columns, dtype=np.int64)))
    return rounds
