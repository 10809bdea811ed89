"""Says whose tumours, and which genes, the arm of single genes asks for.

Cancers with few events are left out: a median split of them says nothing, and each would enlarge
the family that findings are corrected for.
"""

import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import pyarrow as pa
from typer import Option

from bulkformer.cli import command
from bulkformer.errors import InputError
from bulkformer.evaluate.records import read_columns
from bulkformer.evaluate.splits import read_manifest
from bulkformer.evaluate.tasks.prognosis_outcomes import FEW_EVENTS
from bulkformer.files import write_json


def prognosis_genes_request(
    split: Annotated[Path, Option(help="Manifest of the task.")],
    genes: Annotated[Path, Option(help="Vocabulary, genes.parquet.")],
    settings: Annotated[str, Option(help="Section prognosis of the config, as JSON.")],
    output: Annotated[Path, Option(help="JSON of samples and genes.")],
) -> None:
    """Ask for primary tumours of cancers with events enough, and for the genes of the config."""
    manifest = first_folds(split)
    counts = Counter(manifest["stratum"].to_pylist())
    kept = {
        stratum for stratum in counts if counts[f"{stratum.rpartition(' ')[0]} event"] >= FEW_EVENTS
    }
    units = zip(manifest["unit"].to_pylist(), manifest["stratum"].to_pylist(), strict=True)
    samples = [unit for unit, stratum in units if stratum in kept]
    if not samples:
        raise InputError(
            f"{split}: no cancer has {FEW_EVENTS} events; leave evaluate.prognosis.legacy.genes "
            "empty, or choose an endpoint with more"
        )
    ids = resolve(genes, json.loads(settings)["legacy"]["genes"])
    write_json(output, {"samples": samples, "genes": ids})
    cancers = len({stratum.rpartition(" ")[0] for stratum in kept})
    print(f"{len(samples)} samples of {cancers} cancers, {len(ids)} genes", file=sys.stderr)


def first_folds(split: Path) -> pa.Table:
    """Return the strict folds of the first repeat, sorted by sample: one primary a patient.

    They serve the paper's way too: of many folds only that no patient lies in two matters here.
    """
    manifest = read_manifest(split, "prognosis", "strict")
    first = manifest.filter(pa.array(manifest["repeat"].to_numpy() == 0))
    return first.sort_by("unit")


def resolve(vocabulary: Path, names: Sequence[str]) -> list[str]:
    """Return the gene id of each name, an id or a symbol, in the order given.

    Raises InputError for a name that is no gene, a symbol of several, or a gene named twice.
    """
    table = read_columns(vocabulary, ["gene_id", "symbol"])
    of_symbol: dict[str, list[str]] = {}
    for gene, symbol in zip(table["gene_id"], table["symbol"], strict=True):
        of_symbol.setdefault(symbol, []).append(gene)
    known = set(table["gene_id"])
    found: list[str] = []
    for name in names:
        ids = [name] if name in known else of_symbol.get(name, [])
        if len(ids) != 1 or ids[0] in found:
            problem = "is no gene" if not ids else "is several" if len(ids) > 1 else "stands twice"
            raise InputError(
                f"evaluate.prognosis.legacy.genes: '{name}' {problem} of {vocabulary}; name each "
                "gene once, by its symbol or Ensembl id"
            )
        found += ids
    return found


if __name__ == "__main__":
    command(prognosis_genes_request)
