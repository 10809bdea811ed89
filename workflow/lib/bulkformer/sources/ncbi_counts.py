"""NCBI's RNA-seq counts of GEO series: one table of Entrez gene ids by samples for each series.

NCBI aligns the public runs of a series with one pipeline and publishes
`GSE…_raw_counts_GRCh38.p13_NCBI.tsv.gz`: a column `GeneID`, then one a GSM; samples whose runs
failed are absent. A cohort is one such file or a tar of many, read member by member.
"""

from __future__ import annotations

import gzip
import re
import sys
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
import pyarrow as pa

from bulkformer.errors import InputError
from bulkformer.sources.archive import Member, members
from bulkformer.sources.counts import Blocks, CohortFiles, Counts, check_unique
from bulkformer.sources.samples import complete, join, read_sample_table, renamed
from bulkformer.sources.text_matrix import PARSE_BYTES, parse
from bulkformer.sources.tiles import Tiles

NAME = re.compile(r"(GSE\d+)_raw_counts_[^/]*\.tsv(?:\.gz)?")


@dataclass(frozen=True)
class Series:
    """What one file says before its values are read.

    order : where the genes of the first file stand in this one, None if in the same places; a
        cohort has hundreds of files, so none but the first keeps its 39,000 ids
    """

    name: str
    accession: str
    sample_ids: list[str]
    order: np.ndarray | None


def read(files: CohortFiles) -> Counts:
    """Open one file of raw counts, or a tar of them.

    With a sample table, the samples that are in both are read. A sample that several series share
    is read once, from the first; `series_ids` names them all, and `study_id` too where the table
    does not say. Raises InputError if two files are not of the same genes.
    """
    path = files.expression
    with _tables(path) as tables:
        series, gene_ids = _survey(tables, path)
    if not series:
        raise InputError(f"{path}: holds no file GSE…_raw_counts_….tsv.gz; pack those of NCBI")
    accessions = _accessions(series, path)
    samples = _match(files, list(accessions))
    samples = samples.assign(series_ids=[accessions[id_] for id_ in samples["sample_id"]])
    given = samples.get("study_id", pd.Series(None, index=samples.index, dtype=object))
    samples["study_id"] = given.where(given.notna(), samples["series_ids"])

    def blocks(max_samples: int) -> Blocks:
        waiting = set(samples["sample_id"])
        with _tables(path) as tables:
            for (name, table), one in zip(tables, series, strict=True):
                columns = [at for at, id_ in enumerate(one.sample_ids) if id_ in waiting]
                ids = [one.sample_ids[at] for at in columns]
                waiting -= set(ids)
                with Tiles() as tiles:
                    if columns:
                        _fill(tiles, table, columns, len(gene_ids), f"{path}: '{name}'")
                    for start in range(0, len(ids), max_samples):
                        part = ids[start : start + max_samples]
                        values = tiles.samples(start, start + len(part))
                        yield part, values if one.order is None else values[:, one.order]

    return Counts(gene_ids, complete(samples, files.samples or path), blocks)


@contextmanager
def _tables(path: Path) -> Iterator[Iterator[tuple[str, gzip.GzipFile]]]:
    """Hand out (name, unpacked bytes) of the count tables of a tar, or of the one file."""
    if not _is_tar(path):
        with path.open("rb") as handle:
            yield iter([_unpacked(Member(path.name, handle))])
        return
    with members(path, lambda name: bool(NAME.fullmatch(PurePosixPath(name).name))) as found:
        yield map(_unpacked, found)


def _is_tar(path: Path) -> bool:
    try:
        return tarfile.is_tarfile(path)
    except (EOFError, OSError, zlib.error):  # a damaged gzip file, of which reading says more
        return False


def _unpacked(member: Member) -> tuple[str, gzip.GzipFile]:
    zipped = member.handle.peek(2)[:2] == b"\x1f\x8b"
    return member.name, gzip.open(member.handle) if zipped else member.handle


def _survey(
    tables: Iterator[tuple[str, gzip.GzipFile]], path: Path
) -> tuple[list[Series], list[str]]:
    """Read header and gene ids of all files; return what they say, and the genes of the first."""
    series: list[Series] = []
    first: list[str] = []
    for name, table in tables:
        where = f"{path}: '{name}'"
        header = _header(table, where)
        gene_ids = _gene_ids(table, len(header), where)
        first = first or gene_ids
        accession = NAME.match(PurePosixPath(name).name)
        series.append(
            Series(
                name,
                accession[1] if accession else "",
                [cell.strip().upper() for cell in header[1:]],
                _order(gene_ids, first, f"{where} and '{series[0].name if series else name}'"),
            )
        )
    return series, first


def _gene_ids(table: gzip.GzipFile, n_columns: int, where: str) -> list[str]:
    gene_ids: list[str] = []
    for batch in _batches(table, n_columns, where, texts=[0]):
        gene_ids += [cell.strip() for cell in batch.column(0).to_pylist()]
    if len(set(gene_ids)) < len(gene_ids) or not gene_ids:
        raise InputError(f"{where} names no gene, or one of them twice; fetch it again")
    return gene_ids


def _header(table: gzip.GzipFile, where: str) -> list[str]:
    try:
        header = table.readline(PARSE_BYTES).decode("utf-8-sig").rstrip("\r\n").split("\t")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise InputError(f"{where} cannot be read ({error}); fetch it again") from error
    if header[0].strip() != "GeneID" or len(header) < 2:
        raise InputError(
            f"{where} starts with '{header[0][:40]}' and not with 'GeneID' and samples; give the "
            "raw counts that NCBI makes from GEO series"
        )
    return header


def _batches(
    table: gzip.GzipFile, n_columns: int, where: str, **columns: list[int]
) -> Iterator[pa.RecordBatch]:
    try:
        yield from parse(table, n_columns, skip=0, **columns)
    except (OSError, EOFError, zlib.error, pa.ArrowInvalid) as error:
        raise InputError(f"{where} is damaged ({error}); fetch it again") from error


def _fill(tiles: Tiles, table: gzip.GzipFile, columns: list[int], n_genes: int, where: str) -> None:
    """Add the samples at `columns` of a table; the first column of numbers is number 0."""
    n_columns = len(_header(table, where))
    numbers = [at + 1 for at in columns]
    for batch in _batches(table, n_columns, where, numbers=numbers):
        tiles.append(np.stack([column.to_numpy(zero_copy_only=False) for column in batch.columns]))
    if tiles.n_genes != n_genes:
        raise InputError(f"{where} changed while it was read; start again")


def _order(gene_ids: list[str], first: list[str], files: str) -> np.ndarray | None:
    """Return where the genes `first` stand among `gene_ids`, None if in the same places."""
    if gene_ids == first:
        return None
    place = {gene: at for at, gene in enumerate(gene_ids)}
    only = sorted(place.keys() ^ set(first))
    if only:
        raise InputError(
            f"{files} are not of the same genes: {len(only)} stand in one of them only, first "
            f"GeneID {only[0]}; use files of one annotation of NCBI"
        )
    return np.array([place[gene] for gene in first])


def _accessions(series: list[Series], path: Path) -> dict[str, str]:
    """Return sample id -> comma list of its series, in the order in which samples are read."""
    found: dict[str, list[str]] = {}
    for one in series:
        check_unique(one.sample_ids, path)
        for sample_id in one.sample_ids:
            found.setdefault(sample_id, []).append(one.accession)
    shared = sum(len(accessions) > 1 for accessions in found.values())
    if shared:
        print(
            f"{path}: {shared} samples stand in several series and are read once", file=sys.stderr
        )
    return {id_: ",".join(filter(None, accessions)) or None for id_, accessions in found.items()}


def _match(files: CohortFiles, sample_ids: list[str]) -> pd.DataFrame:
    """Return the samples to read, in the order of `sample_ids`, and what is known of them."""
    if files.samples is None:
        return pd.DataFrame({"sample_id": sample_ids})
    table = renamed(read_sample_table(files.samples), files.columns, files.samples)
    table["sample_id"] = table["sample_id"].str.upper()
    return join(sample_ids, table, files.expression, files.samples)[1]
