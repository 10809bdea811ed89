"""STRING's own files, streamed: protein.links, protein.links.detailed and protein.aliases.

Arrow parses some millions of rows a second; rows below the asked score are dropped before the next
block is read, so that memory holds only what may become an edge.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from bulkformer.errors import InputError
from bulkformer.sources.text_matrix import UNREADABLE, open_text

MAX_SCORE = 1000  # STRING writes its scores as thousandths of a probability
ALIAS_SOURCE = "Ensembl_gene"
ALL_CHANNELS = "all"
# Evidence channels, by the column of protein.links.detailed that holds them (so spelled).
CHANNELS = (
    "neighborhood", "fusion", "cooccurence", "coexpression", "experimental", "database",
    "textmining",
)  # fmt: skip
# The chance that any two proteins interact, which every channel contains: STRING's FAQ, "How are
# the scores computed?" (https://string-db.org/help/faq), after von Mering et al. 2005, Nucleic
# Acids Research 33:D433.
PRIOR = 0.041
BLOCK_BYTES = 4 * 2**20
GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class ProteinLinks:
    """Associations of at least the asked score, in the direction and order of the file.

    Attributes
    ----------
    proteins : names of the proteins that are associated so strongly
    protein1, protein2 : int32 [n], positions in `proteins`
    score : float32 [n], 0..1000
    rows : rows of the file, weak ones included
    """

    proteins: list[str]
    protein1: np.ndarray
    protein2: np.ndarray
    score: np.ndarray
    rows: int


def read_protein_links(path: Path, least: int, channels: Sequence[str]) -> ProteinLinks:
    """Read the rows with a score >= `least`; rows without any evidence are never among them.

    Raises InputError for an unknown channel, an absent column, a row without two proteins, or a
    score that is not on STRING's scale.
    """
    wanted = _score_columns(channels)
    ends = ["protein1", "protein2"]
    types = dict.fromkeys(ends, pa.string()) | dict.fromkeys(wanted, pa.float32())
    parts: list[list[pa.Array]] = [[pa.array([], pa.string())] * 2]
    kept = [np.empty(0, np.float32)]
    rows, highest = 0, 0.0
    for batch in _stream(path, " ", types):
        scores = []
        for name in wanted:
            column = batch.column(name)
            values = column.to_numpy(zero_copy_only=False)
            check_scores(values, column, path, name, rows)
            scores.append(values)
            highest = max(highest, float(values.max(initial=0)))
        score = scores[0] if wanted == ["combined_score"] else combined(scores)
        if any(pc.min(pc.binary_length(batch.column(end))).as_py() == 0 for end in ends):
            raise InputError(
                f"{path}: a row names no two proteins; the file is damaged, fetch it again"
            )
        strong = np.flatnonzero(score >= max(least, 1))
        parts.append([batch.column(end).take(pa.array(strong)) for end in ends])
        kept.append(score[strong])
        rows += batch.num_rows
    check_score(highest, path)
    columns = zip(*parts, strict=True)
    encoded = pa.concat_arrays([each for column in columns for each in column]).dictionary_encode()
    protein1, protein2 = encoded.indices.to_numpy().reshape(2, -1)
    return ProteinLinks(
        encoded.dictionary.to_pylist(), protein1, protein2, np.concatenate(kept), rows
    )


def combined(scores: Sequence[np.ndarray]) -> np.ndarray:
    """Return float32 [n]: the score of several channels together, all on the scale 0..1000.

    The prior is taken out of each channel, the channels are taken for independent evidence, and the
    prior is put back once. Without evidence above the prior the score is 0, not the prior: two
    proteins about which no channel says anything are no pair. STRING further lowers its own
    co-occurrence and text mining by homology, which protein.links.detailed does not tell.
    """
    against = np.ones(len(scores[0]))
    for score in scores:
        channel = np.maximum(score.astype(np.float64) / MAX_SCORE, PRIOR)
        against *= 1 - (channel - PRIOR) / (1 - PRIOR)
    # Cut to whole thousandths as in STRING's own script (combine_subscores), whose rounding errors
    # are among its published scores: 0.4999… becomes 499.
    whole = np.floor(((1 - against) * (1 - PRIOR) + PRIOR) * MAX_SCORE)
    return np.where(against < 1, whole, 0).astype(np.float32)


def read_aliases(path: Path) -> list[tuple[str, str]]:
    """Return (protein, Ensembl gene without version) of every alias of the source Ensembl_gene.

    Sorted, each once; raises InputError if the file is no protein.aliases of STRING v12.
    """
    types = dict.fromkeys(["#string_protein_id", "alias", "source"], pa.string())
    found: set[tuple[str, str]] = set()
    for batch in _stream(path, "\t", types):
        chosen = batch.filter(pc.equal(batch.column("source"), ALIAS_SOURCE))
        genes = (alias.strip().partition(".")[0] for alias in chosen.column("alias").to_pylist())
        found.update(zip(chosen.column("#string_protein_id").to_pylist(), genes, strict=True))
    return sorted(pair for pair in found if pair[1].startswith("ENSG"))


def check_scores(
    values: np.ndarray,
    written: pa.Array | pd.Series,
    path: Path,
    column: str = "combined_score",
    rows_before: int = 0,
) -> None:
    """Raise InputError naming the first row whose score is no number from 0 to 1000."""
    bad = ~((values >= 0) & (values <= MAX_SCORE))
    if bad.any():
        row = int(bad.argmax())
        cell = written[row].as_py() if isinstance(written, pa.Array) else written.iloc[row]
        raise InputError(
            f"{path}: {column} '{cell}' in data row {rows_before + row + 1} is not a number "
            f"from 0 to {MAX_SCORE}; correct or remove the row"
        )


def check_score(highest: float, path: Path) -> None:
    """Raise InputError if the highest score of a file shows that its scale is 0 to 1."""
    if 0 < highest <= 1:
        raise InputError(
            f"{path}: the highest combined_score is {highest:g}; STRING's scale is 0 to "
            f"{MAX_SCORE}, multiply by {MAX_SCORE}"
        )


def _score_columns(channels: Sequence[str]) -> list[str]:
    if list(channels) == [ALL_CHANNELS]:
        return ["combined_score"]
    if unknown := [name for name in channels if name not in CHANNELS]:
        raise InputError(
            f"graph.string.channels: '{unknown[0]}' is no channel; write {ALL_CHANNELS}, or a list "
            f"of {', '.join(CHANNELS)}"
        )
    return sorted(set(channels), key=CHANNELS.index)


def _stream(path: Path, delimiter: str, types: dict[str, pa.DataType]) -> Iterator[pa.RecordBatch]:
    """Yield blocks of the columns of `types`; quotation marks are plain characters."""
    try:
        with path.open("rb") as handle:
            packed = handle.read(len(GZIP)) == GZIP
        with pa.input_stream(str(path), compression="gzip" if packed else None) as stream:
            yield from pa.csv.open_csv(
                stream,
                # One thread: the decompression is the slow part, and errors then name the row.
                read_options=pa.csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES),
                parse_options=pa.csv.ParseOptions(delimiter=delimiter, quote_char=False),
                convert_options=pa.csv.ConvertOptions(
                    include_columns=list(types), column_types=types, strings_can_be_null=False
                ),
            )
    except (*UNREADABLE, pa.ArrowException) as error:
        place = _first_bad_number(path, delimiter, types) or str(error)
        raise InputError(
            f"{path}: cannot be read as STRING's table with the columns {', '.join(types)} "
            f"({place}); fetch it again, or correct graph.string"
        ) from error


def _first_bad_number(path: Path, delimiter: str, types: dict[str, pa.DataType]) -> str:
    """Name the first row whose score is no number, which Arrow does not; empty if there is none."""
    numbers = [name for name, type_ in types.items() if type_ == pa.float32()]
    try:
        with open_text(path) as handle:
            header = handle.readline().split()
            if not set(numbers) <= set(header):
                return ""
            for number, line in enumerate(handle, start=1):
                cells = line.rstrip("\n").split(delimiter)
                for name in numbers if len(cells) == len(header) else []:
                    cell = cells[header.index(name)]
                    try:
                        float(cell)
                    except ValueError:
                        return f"{name} '{cell}' in data row {number} is not a number"
    except UNREADABLE:
        return ""
    return ""
