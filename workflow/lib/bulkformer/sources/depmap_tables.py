"""DepMap: the table of models, and the wide tables of CRISPR gene effect and dependency.

The wide tables have one row a model and one column a gene, `SYMBOL (ENTREZ)`; with 18,000 columns
and 430 MB they are read a few rows at a time. The portal answers some downloads with a web page
under the status of success, which is told from a table here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv

from bulkformer.errors import InputError
from bulkformer.sources.fields import check_ids, read_fields
from bulkformer.sources.text_matrix import PARSE_BYTES, UNREADABLE, open_bytes, read_header

MODEL_REQUIRED = {"cell_line_id": "ModelID", "patient_id": "PatientID"}
MODEL_OPTIONAL = {
    "name": "CellLineName",
    "lineage": "OncotreeLineage",
    "cellosaurus": "RRID",
    "sanger_id": "SangerModelID",
    "cosmic_id": "COSMICID",
}
ACH = re.compile(r"ACH-\d{6}")
GENE = re.compile(r"\s*(\S.*?)\s+\((\d+|Unknown|nan)\)\s*")
DEFAULT_PROFILE = "IsDefaultEntryForModel"  # since 25Q2, where a model may have several rows


def refuse_web_page(path: Path) -> None:
    """Raise InputError if the file is a web page in place of a table."""
    try:
        with open_bytes(path) as handle:
            start = handle.read(512).lstrip().lower()
    except UNREADABLE as error:
        raise InputError(f"{path}: cannot be read ({error}); fetch it again") from error
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise InputError(
            f"{path}: a web page, not a table: the DepMap portal answers programs with a check "
            "for people. Fetch the file from figshare, or by hand"
        )


def read_models(path: Path) -> pd.DataFrame:
    """Read Model.csv, one row a model, all str or None.

    Columns cell_line_id (ACH), patient_id (PT), name, lineage, cellosaurus, sanger_id (SIDM),
    cosmic_id. Raises InputError if a model has no ACH id or stands twice.
    """
    refuse_web_page(path)
    models = read_fields(path, MODEL_REQUIRED, MODEL_OPTIONAL)
    check_ids(models, "cell_line_id", path, "ModelID", ACH)
    return models


@dataclass(frozen=True)
class GeneMatrix:
    """One wide table of models by genes.

    Attributes
    ----------
    symbols, entrez : names of the gene columns; entrez is "" where the header has no number
    label, values : positions of the model's column and of the gene columns
    flag : position of the flag of default profiles, or None
    """

    path: Path
    n_columns: int
    symbols: list[str]
    entrez: list[str]
    label: int
    values: list[int]
    flag: int | None

    def rows(self) -> Iterator[tuple[list[str], np.ndarray]]:
        """Yield (model ids, float32 [n, n_genes]) of runs of rows in file order, NaN where empty.

        Rows of profiles that are not their model's default are passed over. Raises InputError if
        a model stands twice or a cell is no number.
        """
        types = {str(self.label): pa.string()} | {str(at): pa.float32() for at in self.values}
        if self.flag is not None:
            types[str(self.flag)] = pa.string()
        seen: set[str] = set()
        for batch in self._batches(types):
            models = [model.strip() for model in batch.column(str(self.label)).to_pylist()]
            block = np.empty((len(models), len(self.values)), dtype=np.float32)
            for place, at in enumerate(self.values):
                block[:, place] = batch.column(str(at)).to_numpy(zero_copy_only=False)
            if np.isinf(block).any():
                row = int(np.isinf(block).any(axis=1).argmax())
                raise InputError(f"{self.path}: model {models[row]} has an infinite score")
            if self.flag is not None:
                flags = batch.column(str(self.flag)).to_pylist()
                default = [str(flag).strip().lower() in ("yes", "true", "1") for flag in flags]
                block = block[default]
                models = [models[row] for row in np.flatnonzero(default)]
            for model in models:
                if model in seen:
                    raise InputError(f"{self.path}: model {model} stands twice; keep one row")
                seen.add(model)
            if models:
                yield models, block

    def _batches(self, types: dict[str, pa.DataType]) -> Iterator[pa.RecordBatch]:
        try:
            with open_bytes(self.path) as handle:
                yield from pa.csv.open_csv(
                    handle,
                    read_options=pa.csv.ReadOptions(
                        use_threads=False,
                        block_size=PARSE_BYTES,
                        skip_rows=1,
                        column_names=[str(at) for at in range(self.n_columns)],
                    ),
                    convert_options=pa.csv.ConvertOptions(
                        include_columns=list(types), column_types=types
                    ),
                )
        except UNREADABLE as error:
            raise InputError(
                f"{self.path}: cannot be read to its end ({error}); fetch it again"
            ) from error
        except pa.ArrowInvalid as error:
            raise InputError(
                f"{self.path}: not models by genes in numbers ({error}); fetch it again"
            ) from error


def open_gene_matrix(path: Path) -> GeneMatrix:
    """Open CRISPRGeneEffect.csv, CRISPRGeneDependency.csv or a file of their form.

    The model stands in the column ModelID or, in releases that leave its header empty, in the
    first one. Columns that are neither that nor `SYMBOL (ENTREZ)` are passed over. Raises
    InputError if no column is a gene.
    """
    refuse_web_page(path)
    header = read_header(path)
    genes = [GENE.fullmatch(name) for name in header]
    values = [at for at, gene in enumerate(genes) if gene]
    if not values:
        raise InputError(
            f"{path}: no column 'SYMBOL (ENTREZ)'; the columns are {', '.join(header[:8])}, … Give "
            "a gene table of a DepMap release"
        )
    label = header.index("ModelID") if "ModelID" in header else 0
    return GeneMatrix(
        path,
        len(header),
        [genes[at][1] for at in values],
        [genes[at][2] if genes[at][2].isdigit() else "" for at in values],
        label,
        values,
        header.index(DEFAULT_PROFILE) if DEFAULT_PROFILE in header else None,
    )
