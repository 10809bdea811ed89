"""The vocabulary step: fixes the gene axis once, so that every matrix downstream has its columns.

Each name is given to the gene that bears it with the best right: an approved symbol before a
symbol that only the annotation has, before a previous symbol, before an alias. A name with two
bearers of equal right belongs to neither.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import pandas as pd
import pyarrow as pa
from typer import Option

from bulkformer.cli import command
from bulkformer.errors import InputError
from bulkformer.expression.vocabulary import SCHEMA
from bulkformer.files import write_table
from bulkformer.sources.ensembl import read_annotation
from bulkformer.sources.hgnc import read_hgnc

Bearers = Iterable[tuple[str, str]]  # (name, gene)


def genes(
    annotation: Annotated[Path, Option(help="Genes with lengths.")],
    format: Annotated[str, Option(help="gtf or table.")],
    biotype: Annotated[list[str], Option(help="Biotypes that enter the vocabulary.")],
    output: Annotated[Path, Option(help="genes.parquet to write.")],
    identifiers: Annotated[Path | None, Option(help="HGNC complete set.")] = None,
) -> None:
    """Write the vocabulary, sorted by Ensembl gene id."""
    annotated = read_annotation(format, annotation)
    if repeated := sorted(annotated["gene_id"][annotated["gene_id"].duplicated()]):
        raise InputError(f"{annotation}: gene '{repeated[0]}' stands twice; keep one row")
    absent = sorted(set(biotype) - set(annotated["biotype"]))
    if absent:
        present = ", ".join(sorted(set(annotated["biotype"].dropna())))
        raise InputError(
            f"{annotation}: no gene of biotype {', '.join(absent)}; it has {present}. Correct "
            "expression.vocabulary.biotypes"
        )
    hgnc = read_hgnc(identifiers) if identifiers else None
    source = ", ".join(path.name for path in [annotation, identifiers] if path)
    table = vocabulary_table(annotated, hgnc, biotype, source)
    write_table(output, table)
    named = sum(entrez is not None for entrez in table["entrez"].to_pylist())
    shared = sum(map(len, table["ambiguous"].to_pylist()))
    print(
        f"{output}: {len(table)} genes, {named} of them with an Entrez id; "
        f"{shared} names are ambiguous and will not be used",
        file=sys.stderr,
    )


def vocabulary_table(
    annotation: pd.DataFrame, hgnc: pd.DataFrame | None, biotypes: Sequence[str], source: str
) -> pa.Table:
    """Return the vocabulary, one row a gene, with the names by which files may call it.

    Parameters
    ----------
    annotation : gene_id, symbol, entrez, length_bp, biotype, chromosome; all biotypes, because a
        name that a gene outside the vocabulary bears as well is ambiguous
    hgnc : gene_id, hgnc_id, symbol, entrez, previous, aliases, or None
    """
    annotation = annotation.sort_values("gene_id", ignore_index=True)
    approved = _records(hgnc)
    # Where HGNC gives one Ensembl gene to two symbols, the lower HGNC id names it.
    named = {record["gene"]: record for record in reversed(approved.to_dict("records"))}
    ids = annotation["gene_id"]
    symbols = _pairs(annotation["symbol"], ids)
    own_symbols = [(name, gene) for name, gene in symbols if name != gene]
    owner, shared = settle(
        [
            _pairs(approved["symbol"], approved["gene"]),
            [(name, gene) for name, gene in own_symbols if gene not in named],
            _pairs(approved["previous"].explode(), approved["gene"]) + own_symbols,
            _pairs(approved["aliases"].explode(), approved["gene"]),
        ]
    )
    entrez_owner, entrez_shared = settle(
        [
            _pairs(approved["entrez"], approved["gene"]),
            _pairs(annotation["entrez"], ids),
        ]
    )
    synonyms, ambiguous = _by_gene(owner), defaultdict(set)
    for name, bearers in [*shared.items(), *entrez_shared.items()]:
        for gene in bearers:
            ambiguous[gene].add(name)

    rows = []
    for gene in annotation[annotation["biotype"].isin(biotypes)].to_dict("records"):
        gene_id = gene["gene_id"]
        record = named.get(gene_id, {})
        symbol = record.get("symbol", gene["symbol"])
        entrez = record.get("entrez") or gene["entrez"] or None
        taken = {symbol} if symbol != gene_id and owner.get(symbol) != gene_id else set()
        if entrez and entrez_owner.get(entrez) != gene_id:
            taken.add(entrez)
        rows.append(
            {
                "gene_id": gene_id,
                "symbol": symbol,
                "entrez": entrez,
                "hgnc_id": record.get("hgnc_id"),
                "length_bp": int(gene["length_bp"]),
                "biotype": gene["biotype"],
                "chromosome": gene["chromosome"],
                "aliases": sorted(synonyms[gene_id] - {symbol}),
                "ambiguous": sorted(ambiguous[gene_id] | taken),
                "source": source,
            }
        )
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def settle(levels: Sequence[Bearers]) -> tuple[dict[str, str], dict[str, set[str]]]:
    """Decide which gene each name means.

    Parameters
    ----------
    levels : pairs (name, gene), the best right first; only the first level that knows a name
        decides on it

    Returns
    -------
    {name: gene} of names with one bearer there, {name: genes} of names with several
    """
    owner: dict[str, str] = {}
    shared: dict[str, set[str]] = {}
    for pairs in levels:
        bearers: dict[str, set[str]] = defaultdict(set)
        for name, gene in pairs:
            if name not in owner and name not in shared:
                bearers[name].add(gene)
        for name, found in bearers.items():
            if len(found) == 1:
                owner[name] = found.pop()
            else:
                shared[name] = found
    return owner, shared


def _records(hgnc: pd.DataFrame | None) -> pd.DataFrame:
    """Return HGNC in the order of its ids with the column `gene`; the HGNC id if not in Ensembl."""
    if hgnc is None:
        columns = ["gene", "hgnc_id", "symbol", "entrez", "previous", "aliases"]
        return pd.DataFrame({name: pd.Series(dtype=object) for name in columns})
    number = hgnc["hgnc_id"].str.removeprefix("HGNC:").astype(int)
    records = hgnc.iloc[number.argsort(kind="stable")].reset_index(drop=True)
    return records.assign(gene=records["gene_id"].fillna(records["hgnc_id"]))


def _pairs(names: pd.Series, gene_ids: pd.Series) -> list[tuple[str, str]]:
    """Return (name, gene) where there is a name; `names` may repeat labels of `gene_ids`."""
    names = names.dropna()
    return list(zip(names, gene_ids.loc[names.index], strict=True))


def _by_gene(owner: dict[str, str]) -> dict[str, set[str]]:
    names: dict[str, set[str]] = defaultdict(set)
    for name, gene in owner.items():
        names[gene].add(name)
    return names


if __name__ == "__main__":
    command(genes)
