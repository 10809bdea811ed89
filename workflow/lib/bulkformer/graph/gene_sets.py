"""The gene_sets step: collections of gene sets, such as MSigDB's, on the vocabulary.

Sets name genes by the symbols of their day: old symbols go through the aliases of the vocabulary,
and a symbol that could mean two genes is listed and left out.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
from typer import Option

from bulkformer.cli import command
from bulkformer.errors import InputError
from bulkformer.expression.identifiers import EXAMPLES, is_damaged
from bulkformer.expression.vocabulary import Vocabulary
from bulkformer.files import sha256, write_json, write_table
from bulkformer.sources.gene_sets import GeneSet, read_gmt, release_of

SCHEMA = pa.schema(
    [
        ("set_id", pa.string()),
        ("collection", pa.string()),
        ("version", pa.string()),  # null where the file name has none
        ("gene_id", pa.string()),
    ]
)


def gene_sets(
    genes: Annotated[Path, Option(help="Vocabulary, genes.parquet.")],
    collection: Annotated[list[Path], Option(help="GMT file of a collection.")],
    output: Annotated[Path, Option(help="Table of sets and genes to write.")],
    summary: Annotated[Path, Option(help="JSON: what was matched and left out.")],
) -> None:
    """Write which vocabulary genes are in which set; collection and version from file names."""
    vocabulary = Vocabulary.load(genes)
    columns: dict[str, list[str | None]] = {name: [] for name in SCHEMA.names}
    found: dict[tuple[str, str | None], dict[str, Any]] = {}
    for path in collection:
        name, version = release_of(path)
        if (name, version) in found:
            raise InputError(
                f"{path}: the collection {name}, version {version}, is given twice; name each file "
                "once in graph.gene_sets.collections"
            )
        sets = read_gmt(path)
        members, counts = on_vocabulary(sets, vocabulary)
        for each, places in zip(sets, members, strict=True):
            columns["set_id"] += [each.name] * len(places)
            columns["collection"] += [name] * len(places)
            columns["version"] += [version] * len(places)
            columns["gene_id"] += [vocabulary.gene_ids[at] for at in places]
        found[name, version] = {
            "collection": name,
            "version": version,
            "file": path.name,
            "sha256": sha256(path),
            **counts,
        }
    if not columns["gene_id"]:
        raise InputError(
            f"{collection[0]}: no set has a gene of the vocabulary; give human sets with gene "
            "symbols in graph.gene_sets.collections"
        )
    write_table(output, pa.table(columns, schema=SCHEMA))
    write_json(summary, {"collections": list(found.values())})
    print(f"{output}: {len(columns['gene_id'])} memberships", file=sys.stderr)


def on_vocabulary(
    sets: Sequence[GeneSet], vocabulary: Vocabulary
) -> tuple[list[list[int]], dict[str, Any]]:
    """Return the sorted vocabulary indices of each set, and what became of the symbols."""
    place_of, counts = match_symbols((gene for each in sets for gene in each.genes), vocabulary)
    members = [sorted({place_of[gene] for gene in each.genes if gene in place_of}) for each in sets]
    return members, {
        "sets": len(sets),
        "sets_without_genes": sum(not places for places in members),
        "memberships": sum(map(len, members)),
        **counts,
    }


def match_symbols(
    symbols: Iterable[str], vocabulary: Vocabulary
) -> tuple[dict[str, int], dict[str, Any]]:
    """Return {symbol: vocabulary index} of the symbols that mean one gene, and the others.

    Symbols are looked up as approved or as alias. Those that could mean two genes, and those that a
    spreadsheet turned into dates, are listed; they are never guessed.
    """
    known, ambiguous = vocabulary.names("symbol")
    written = sorted(set(symbols))
    place_of = {symbol: known[symbol] for symbol in written if symbol in known}
    left_out = [symbol for symbol in written if symbol not in known]
    damaged = [symbol for symbol in left_out if is_damaged(symbol)]
    shared = [symbol for symbol in left_out if symbol in ambiguous]
    unmatched = [symbol for symbol in left_out if symbol not in {*damaged, *shared}]
    return place_of, {
        "symbols": len(written),
        "symbols_matched": len(place_of),
        "symbols_by_alias": sum(vocabulary.symbols[at] != name for name, at in place_of.items()),
        "symbols_unmatched": len(unmatched),
        "unmatched_examples": unmatched[:EXAMPLES],
        "symbols_ambiguous": len(shared),
        "ambiguous": shared,
        "damaged_symbols": damaged,
    }


if __name__ == "__main__":
    command(gene_sets)
