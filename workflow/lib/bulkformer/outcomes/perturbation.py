"""The perturbation step: expression after treatment and of controls, one row a profile.

`values` is fixed_size_list<float32> and not 978 columns: it is read in one piece into an array,
and a table of 1.3 million profiles is written a run at a time. Which genes they are stands in the
schema metadata under "genes", a JSON list in the order of the values: gene_id (null where the
vocabulary has no such gene), entrez, symbol. `controls` says where a treated profile finds its
controls: on its own plate, else in wells of the same cell line and time, else nowhere.
"""

from __future__ import annotations

import json
from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from typer import Option

from bulkformer.cli import command
from bulkformer.errors import InputError
from bulkformer.expression.identifiers import map_genes
from bulkformer.expression.vocabulary import Vocabulary
from bulkformer.files import atomic
from bulkformer.outcomes.controls import control_level
from bulkformer.outcomes.tables import finish_summary
from bulkformer.sources.l1000 import open_gctx, open_table, read_landmarks, read_profile_table
from bulkformer.sources.perturbation import COLUMNS, NUMERIC, Profiles
from bulkformer.sources.prnet import open_prnet

FORMATS = ["l1000", "prnet", "table"]


def perturbation(
    format: Annotated[str, Option(help="l1000, prnet or table.")],
    expression: Annotated[Path, Option(help="GCTX (also gzipped), H5AD or Parquet of profiles.")],
    genes: Annotated[Path, Option(help="genes.parquet.")],
    output: Annotated[Path, Option(help="perturbation.parquet to write.")],
    summary: Annotated[Path, Option(help="perturbation.json to write.")],
    profiles: Annotated[Path | None, Option(help="inst_info.")] = None,
    landmarks: Annotated[Path | None, Option(help="gene_info.")] = None,
    perturbagens: Annotated[Path | None, Option(help="pert_info, or a table of SMILES.")] = None,
    perturbagen_type: Annotated[list[str] | None, Option(help="Types to keep; all.")] = None,
    cell_id: Annotated[list[str] | None, Option(help="Cell lines to keep; all.")] = None,
    licence: Annotated[list[str] | None, Option(help="Licences of the sources.")] = None,
) -> None:
    """Write the chosen profiles with the genes that were measured."""
    if format not in FORMATS:
        raise InputError(
            f"perturbation format '{format}' is unknown; known are {', '.join(FORMATS)}"
        )
    needed = {
        "l1000": {"profiles": profiles, "landmarks": landmarks},
        "table": {"profiles": profiles},
    }
    for name, path in needed.get(format, {}).items():
        if path is None:
            raise InputError(
                f"config, outcomes.perturbation.{name}: the format {format} needs this file"
            )
    vocabulary = Vocabulary.load(genes)
    if format == "prnet":
        source = open_prnet(expression)
    elif format == "l1000":
        described = read_profile_table(profiles, perturbagens)
        source = open_gctx(expression, described, read_landmarks(landmarks), output.parent)
    else:
        source = nullcontext(open_table(expression, read_profile_table(profiles, perturbagens)))
    with source as opened:
        content = write_profiles(
            output, opened, vocabulary, perturbagen_type or [], cell_id or [], expression
        )
    files = [path for path in [expression, profiles, landmarks, perturbagens] if path]
    finish_summary(summary, content.pop("rows"), content, (files, licence or []))


def write_profiles(
    output: Path,
    source: Profiles,
    vocabulary: Vocabulary,
    types: list[str],
    cells: list[str],
    path: Path,
) -> dict[str, object]:
    """Write the profiles of `types` and `cells` (all where empty); return what the summary says.

    Raises InputError if a chosen cell line is unknown or nothing remains.
    """
    table = source.table
    for wanted, column in [(types, "perturbagen_type"), (cells, "cell_id")]:
        if absent := sorted(set(wanted) - set(table[column])):
            known = ", ".join(sorted(set(table[column].dropna()))[:20])
            raise InputError(f"{path}: no profile of {column} {absent[0]}; known are {known}")
    of_type = (
        table["perturbagen_type"].isin(types).to_numpy() if types else np.ones(len(table), bool)
    )
    of_cell = table["cell_id"].isin(cells).to_numpy() if cells else np.ones(len(table), bool)
    chosen = of_type & of_cell
    if not chosen.any():
        raise InputError(f"{path}: no profile is of the chosen types and cell lines")
    level = np.full(len(table), None, dtype=object)
    level[chosen] = control_level(table[chosen])

    gene_list = _gene_list(source.genes, vocabulary)
    extra = [name for name in table.columns if name not in COLUMNS]
    schema = _schema(extra, gene_list)
    rows, missing, least, most = 0, 0, np.inf, -np.inf
    with atomic(output) as partial, pq.ParquetWriter(partial, schema, compression="zstd") as writer:
        for at, values in source.blocks(chosen):
            if np.isinf(values).any():
                profile = table["profile_id"].iloc[at[np.isinf(values).any(axis=1).argmax()]]
                raise InputError(f"{path}: profile {profile} has an infinite value; fetch it again")
            writer.write_table(_batch(table.iloc[at], level[at], values, schema))
            rows += len(at)
            missing += int(np.isnan(values).sum())
            # Unlike nanmin and nanmax, these take a block without any value.
            least = np.fmin(least, np.fmin.reduce(values, axis=None))
            most = np.fmax(most, np.fmax.reduce(values, axis=None))
        if not np.isfinite(least):
            raise InputError(f"{path}: the chosen profiles have no value at all; fetch it again")
    kept = table[chosen]
    treated = kept["kind"] == "treated"
    dropped = source.left_out | {
        "other_type": int((~of_type).sum()),
        "other_cell_line": int((of_type & ~of_cell).sum()),
    }
    return {
        "rows": rows,
        "dropped": {reason: n for reason, n in dropped.items() if n},
        "joined": {
            "genes": len(gene_list),
            "genes_in_vocabulary": sum(gene["gene_id"] is not None for gene in gene_list),
            "share_of_treated_with_smiles": _share(kept.loc[treated, "smiles"].notna()),
            "controls_of_treated": dict(sorted(Counter(level[chosen][treated].tolist()).items())),
        },
        "treated": int(treated.sum()),
        "controls": int((~treated).sum()),
        "perturbagens": int(kept.loc[treated, "perturbagen"].nunique()),
        "cell_lines": int(kept["cell_id"].nunique()),
        "doses_missing_among_treated": int(kept.loc[treated, "dose_um"].isna().sum()),
        "missing_values": missing,
        "least_value": round(float(least), 4),
        "greatest_value": round(float(most), 4),
    }


def read_genes(path: Path) -> list[dict[str, str | None]]:
    """Return gene_id, entrez, symbol of each value of perturbation.parquet, in their order."""
    return json.loads(pq.read_schema(path).metadata[b"genes"])


def _gene_list(genes: pd.DataFrame, vocabulary: Vocabulary) -> list[dict[str, str | None]]:
    """Return the genes with their ids in the vocabulary; one that two columns share has none."""
    by_entrez = genes["entrez"].notna().all()
    names = genes["entrez" if by_entrez else "symbol"].tolist()
    column = map_genes(names, "entrez" if by_entrez else "symbol", vocabulary).column.tolist()
    times = Counter(column)
    found = []
    for gene, entrez, symbol in zip(column, genes["entrez"], genes["symbol"], strict=True):
        known = gene >= 0 and times[gene] == 1
        found.append(
            {
                "gene_id": vocabulary.gene_ids[gene] if known else None,
                "entrez": entrez,
                "symbol": symbol or (vocabulary.symbols[gene] if known else None),
            }
        )
    return found


def _schema(extra: list[str], gene_list: list[dict[str, str | None]]) -> pa.Schema:
    fields = [
        (name, pa.float64() if name in NUMERIC else pa.string()) for name in [*COLUMNS, "controls"]
    ]
    fields += [(name, pa.string()) for name in extra]
    fields.append(("values", pa.list_(pa.float32(), len(gene_list))))
    return pa.schema(fields, metadata={"genes": json.dumps(gene_list, sort_keys=True)})


def _batch(
    table: pd.DataFrame, level: np.ndarray, values: np.ndarray, schema: pa.Schema
) -> pa.Table:
    columns = table.assign(controls=level)
    arrays = [
        pa.array(columns[field.name], type=field.type, from_pandas=True)
        for field in schema
        if field.name != "values"
    ]
    flat = pa.array(np.ascontiguousarray(values, dtype=np.float32).ravel())
    arrays.append(pa.FixedSizeListArray.from_arrays(flat, values.shape[1]))
    return pa.Table.from_arrays(arrays, schema=schema)


def _share(holds: pd.Series) -> float:
    return round(float(holds.mean()), 6) if len(holds) else 0.0


if __name__ == "__main__":
    command(perturbation)
