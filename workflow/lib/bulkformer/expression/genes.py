"""The vocabulary step: fixes the gene axis once, so that every matrix downstream has its columns.

Each name is given to the gene that bears it with the best right: an approved symbol before a
symbol that only the annotation has, before a previous symbol, before an alias. A name with two
bearers of equal right belongs to neither.
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import pandas as pd
import pyarrow as pa
from typer import Option

from bulkformer.cli import command
from bulkformer.errors import InputError
from bulkformer.expression.lengths import (
    LENGTHS,
    PAPER,
    check_lengths,
    with_lengths,
    with_listed,
)
from bulkformer.expression.vocabulary import DROP, PAR_Y, SCHEMA, SUM
from bulkformer.files import write_table
from bulkformer.sources.ensembl import CANONICAL_TRANSCRIPT, UNION_EXON, read_annotation
from bulkformer.sources.gene_lists import FORMATS, read_gene_list
from bulkformer.sources.hgnc import read_hgnc

Bearers = Iterable[tuple[str, str]]  # (name, gene)


def genes(
    annotation: Annotated[Path, Option(help="Genes with lengths.")],
    format: Annotated[str, Option(help="gtf or table.")],
    biotype: Annotated[list[str], Option(help="Biotypes that enter the vocabulary.")],
    output: Annotated[Path, Option(help="genes.parquet to write.")],
    identifiers: Annotated[Path | None, Option(help="HGNC complete set.")] = None,
    gene_list: Annotated[Path | None, Option(help="Published list, instead of biotypes.")] = None,
    gene_list_format: Annotated[str, Option(help=", ".join(FORMATS))] = "bulkformer",
    lengths: Annotated[str, Option(help=", ".join(LENGTHS))] = UNION_EXON,
    length_table: Annotated[Path | None, Option(help="For lengths: paper.")] = None,
    par_y: Annotated[str, Option(help="Copies on Y: sum or drop.")] = SUM,
    all_genes: Annotated[Path | None, Option(help="annotation.parquet to write.")] = None,
) -> None:
    """Write the vocabulary, and every gene of the annotation beside it.

    The vocabulary is sorted by Ensembl gene id, or in the order of a published list. Genes outside
    it count where TPM is to be a share of all reads.
    """
    if par_y not in (SUM, DROP):
        raise InputError(f"expression.vocabulary.par_y is '{par_y}'; write {SUM} or {DROP}")
    check_lengths(lengths, length_table, gene_list)
    listed = read_gene_list(gene_list_format, gene_list) if gene_list else None
    measure = lengths if lengths == CANONICAL_TRANSCRIPT else UNION_EXON
    annotated = read_annotation(format, annotation, measure)
    if repeated := sorted(annotated["gene_id"][annotated["gene_id"].duplicated()]):
        raise InputError(f"{annotation}: gene '{repeated[0]}' stands twice; keep one row")
    absent = sorted(set(biotype) - set(annotated["biotype"]))
    if absent and listed is None:
        present = ", ".join(sorted(set(annotated["biotype"].dropna())))
        raise InputError(
            f"{annotation}: no gene of biotype {', '.join(absent)}; it has {present}. Correct "
            "expression.vocabulary.biotypes"
        )
    known = with_lengths(with_listed(annotated, listed), lengths, length_table, listed)
    hgnc = read_hgnc(identifiers) if identifiers else None
    files = [annotation, identifiers, gene_list, length_table if lengths == PAPER else None]
    source = ", ".join(path.name for path in files if path)
    table = vocabulary_table(
        known, hgnc, biotype, source, None if listed is None else listed["gene_id"].tolist()
    ).replace_schema_metadata({PAR_Y: par_y})
    write_table(output, table)
    if all_genes:
        everything = vocabulary_table(known, hgnc, None, source)
        everything = everything.filter(everything["in_annotation"])
        write_table(all_genes, everything.replace_schema_metadata({PAR_Y: par_y}))
    print(f"{output}: {describe(table)}", file=sys.stderr)


def describe(table: pa.Table) -> str:
    """Return what a person should know of a vocabulary, in one line."""
    rows = table.select(["entrez", "other_entrez", "ambiguous", "length_source", "in_annotation"])
    rows = rows.to_pylist()
    named = sum(bool(row["entrez"] or row["other_entrez"]) for row in rows)
    said = [f"{len(rows)} genes, {named} of them with an Entrez id"]
    counts = Counter(row["length_source"] for row in rows)
    said += [
        f"{times} lengths by {name}" for name, times in sorted(counts.items(), key=str) if name
    ]
    if counts[None]:
        said.append(f"{counts[None]} without a length, which will count as unmeasured")
    if foreign := sum(not row["in_annotation"] for row in rows):
        said.append(f"{foreign} that the annotation lacks")
    shared = sum(len(row["ambiguous"]) for row in rows)
    return "; ".join([*said, f"{shared} names are ambiguous and will not be used"])


def vocabulary_table(
    annotation: pd.DataFrame,
    hgnc: pd.DataFrame | None,
    biotypes: Sequence[str] | None,
    source: str,
    gene_ids: Sequence[str] | None = None,
) -> pa.Table:
    """Return the vocabulary, one row a gene, with the names by which files may call it.

    Parameters
    ----------
    annotation : gene_id, symbol, entrez, length_bp, biotype, chromosome and, where it is known,
        other_entrez, length_source, in_annotation; all biotypes, because a name that a gene outside
        the vocabulary bears as well is ambiguous
    hgnc : gene_id, hgnc_id, symbol, entrez, previous, aliases, or None
    biotypes : those that enter, sorted by gene id, or None for every gene
    gene_ids : in their place, the genes that enter, in this order
    """
    annotation = annotation.sort_values("gene_id", ignore_index=True)
    defaults = {"length_source": UNION_EXON, "in_annotation": True}
    annotation = annotation.assign(
        **{name: value for name, value in defaults.items() if name not in annotation}
    )
    if "other_entrez" not in annotation:
        annotation["other_entrez"] = [[] for _ in range(len(annotation))]
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
            _pairs(annotation["entrez"], ids) + _pairs(annotation["other_entrez"].explode(), ids),
        ]
    )
    synonyms, ambiguous = _by_gene(owner), defaultdict(set)
    numbers = _by_gene(entrez_owner)
    for name, bearers in [*shared.items(), *entrez_shared.items()]:
        for gene in bearers:
            ambiguous[gene].add(name)

    if gene_ids is not None:
        chosen = annotation.set_index("gene_id", drop=False).loc[list(gene_ids)]
    elif biotypes is not None:
        chosen = annotation[annotation["biotype"].isin(biotypes)]
    else:
        chosen = annotation
    rows = []
    for gene in chosen.to_dict("records"):
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
                "other_entrez": sorted(numbers[gene_id] - {entrez}),
                "length_bp": int(gene["length_bp"]) if gene["length_bp"] > 0 else None,
                "length_source": gene["length_source"],
                "biotype": gene["biotype"],
                "chromosome": gene["chromosome"],
                "in_annotation": gene["in_annotation"],
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
