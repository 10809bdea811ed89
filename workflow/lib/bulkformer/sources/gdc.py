"""GDC: one STAR count file an aliquot, packed in a tar, and the sample sheet that names them.

Members are read as a stream, in the order of the tar, and never written to disk. The column is
`unstranded`, because the projects of TCGA mix library protocols and strandedness must not differ
between cohorts that are compared.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from bulkformer.errors import InputError
from bulkformer.sources.archive import Member, members
from bulkformer.sources.counts import Blocks, CohortFiles, Counts, check_unique
from bulkformer.sources.samples import complete, from_barcodes, read_sample_table, select

SUFFIX = ".rna_seq.augmented_star_gene_counts.tsv"
SHEET = {
    "file_id": "File ID",
    "file_name": "File Name",
    "study_id": "Project ID",
    "patient_id": "Case ID",
    "sample_id": "Sample ID",
}


def read(files: CohortFiles) -> Counts:
    """Open a tar (plain or compressed) of STAR counts and its sample sheet.

    `sample_id` is the Sample ID; where several files share one, it is the barcode of the aliquot if
    the sheet has a column Aliquot ID, else the Sample ID with the first eight characters of the
    File ID. Raises InputError if tar and sheet do not
    name the same files, if a member's name leads out of the tar, or if gene orders differ.
    """
    path = files.expression
    if files.samples is None:
        raise InputError(
            f"{path}: the format gdc needs the sample sheet; name it in the column samples of the "
            "cohorts table"
        )
    sheet = _sheet(files.samples, files.columns)
    with members(path, _is_count_file) as found:
        names, gene_ids = [], None
        for member in found:
            if gene_ids is None:
                gene_ids = _gene_column(_table(member), path)
            names.append(member.name)
    if gene_ids is None:
        raise InputError(f"{path}: holds no file *{SUFFIX}; pack the STAR counts of the GDC")
    samples = _match(names, sheet, path, files.samples)
    genes = gene_ids.to_pylist()

    def blocks(max_samples: int) -> Blocks:
        sample_ids = samples["sample_id"].tolist()
        rows: list[np.ndarray] = []
        done = 0
        with members(path, _is_count_file) as found:
            for member in found:
                rows.append(_counts(member, gene_ids, path))
                if len(rows) == max_samples or done + len(rows) == len(sample_ids):
                    ids, values = sample_ids[done : done + len(rows)], np.stack(rows)
                    yield ids, values
                    done, rows = done + len(ids), []

    return Counts(genes, samples, blocks)


def _is_count_file(name: str) -> bool:
    return name.endswith(SUFFIX)


def _sheet(path: Path, columns: dict[str, str]) -> pd.DataFrame:
    table = read_sample_table(path)
    sheet = select(table, SHEET, path)
    if "Sample Type" in table:  # sheets since 2024 split it into tissue type and tumour descriptor
        sheet["sample_type"] = table["Sample Type"]
    # Only sheets of the download step name the aliquot, whose barcodes sort as TCGA ranks them.
    sheet["aliquot_id"] = table.get("Aliquot ID")
    sheet = sheet.assign(**select(table, columns, path))
    sheet = sheet[sheet["file_name"].fillna("").str.endswith(SUFFIX)].reset_index(drop=True)
    for column in ["file_id", "study_id", "patient_id", "sample_id", "sample_type"]:
        if column in sheet:
            sheet[column] = [_single(cell, column, path) for cell in sheet[column]]
    repeated = sheet["file_name"][sheet["file_name"].duplicated()]
    if len(repeated):
        raise InputError(f"{path}: '{repeated.iloc[0]}' stands in two rows; keep one")
    return sheet


def _single(cell: str | None, column: str, path: Path) -> str | None:
    """A sheet repeats a value that several cases or samples of one file share, as "A, A"."""
    values = {part.strip() for part in (cell or "").split(",")} - {""}
    if column in ("file_id", "sample_id") and len(values) != 1:
        raise InputError(
            f"{path}: '{cell}' in the column '{SHEET[column]}' is not one id; counts belong to one "
            "sample, remove the row and its file"
        )
    return next(iter(values)) if len(values) == 1 else cell


def _match(names: list[str], sheet: pd.DataFrame, path: Path, sheet_path: Path) -> pd.DataFrame:
    """Return the rows of `sheet` in the order of the members `names`."""
    file_names = [PurePosixPath(name).name for name in names]
    check_unique(file_names, path)
    known = set(sheet["file_name"])
    for name in file_names:
        if name not in known:
            raise InputError(
                f"{path}: '{name}' has no row in {sheet_path}; save the sample sheet of the same "
                "cart, or remove the file"
            )
    absent = sorted(known - set(file_names))
    if absent:
        raise InputError(
            f"{sheet_path}: {len(absent)} files are not in {path}, first '{absent[0]}'; download "
            "them and pack again, or remove their rows"
        )
    samples = sheet.set_index("file_name").loc[file_names].reset_index(drop=True)
    samples["cancer_type"] = samples["study_id"].str.removeprefix("TCGA-")
    samples = from_barcodes(samples)
    shared = samples["sample_id"].duplicated(keep=False)
    unnamed = samples["sample_id"] + "_" + samples["file_id"].str[:8]
    aliquot = samples["aliquot_id"].where(samples["aliquot_id"].notna(), unnamed)
    samples["sample_id"] = samples["sample_id"].mask(shared, aliquot)
    check_unique(samples["sample_id"].tolist(), sheet_path)
    return complete(samples, sheet_path)


def _table(member: Member) -> pa.Table:
    """Return gene_id and unstranded of a count file, without the four N_* rows of read totals."""
    content = member.handle.read()
    comments, start = 0, 0
    while content[start : start + 1] == b"#":
        comments, start = comments + 1, content.find(b"\n", start) + 1
    try:
        table = pa.csv.read_csv(
            pa.py_buffer(content),
            read_options=pa.csv.ReadOptions(skip_rows=comments, use_threads=False),
            parse_options=pa.csv.ParseOptions(delimiter="\t", quote_char=False),
            convert_options=pa.csv.ConvertOptions(
                include_columns=["gene_id", "unstranded"],
                column_types={"gene_id": pa.string(), "unstranded": pa.int64()},
            ),
        )
    except (pa.ArrowInvalid, KeyError) as error:
        raise InputError(
            f"{member.name}: not a STAR count file of the GDC with the columns gene_id and "
            f"unstranded ({error}); download it again"
        ) from error
    return table.filter(pc.invert(pc.starts_with(table["gene_id"], "N_")))


def _gene_column(table: pa.Table, path: Path) -> pa.Array:
    if table.num_rows == 0:
        raise InputError(f"{path}: a count file in it names no gene; download it again")
    return table["gene_id"].combine_chunks()


def _counts(member: Member, gene_ids: pa.Array, path: Path) -> np.ndarray:
    table = _table(member)
    if not _gene_column(table, path).equals(gene_ids):
        raise InputError(
            f"{path}: '{member.name}' does not list the same genes in the same order as the first "
            "file; use files of one GDC data release"
        )
    return table["unstranded"].to_numpy()  # float64 with NaN where a value is missing
