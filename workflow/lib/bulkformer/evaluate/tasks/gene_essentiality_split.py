"""Freezes the folds of gene essentiality: which cell lines, lineages or genes a model never saw.

Legacy: random folds of lines, as in the paper; sister lines lie on both sides. Strict: whole
patients with all lines derived from theirs, balanced over lineages; whole lineages; and whole
genes, which is another question and asked of heads that read a gene's token only.
"""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow.parquet as pq
from typer import Option

from bulkformer.cli import command
from bulkformer.errors import InputError
from bulkformer.evaluate.records import read_columns, read_kept
from bulkformer.evaluate.splits import (
    Units,
    assign_folds,
    connected_groups,
    manifest,
    write_manifest,
)
from bulkformer.files import write_json

TASK = "gene_essentiality"
UNKNOWN = "unknown"  # the lineage of a line of which none is stated
KEYS = ["cell_line_id", "sanger_id", "patient_id", "parent", "lineage"]


def gene_essentiality_split(
    samples: Annotated[Path, Option(help="samples.parquet of the cohort of cell lines.")],
    cell_lines: Annotated[Path, Option(help="cell_lines.parquet.")],
    dependency: Annotated[Path, Option(help="dependency.parquet.")],
    settings: Annotated[str, Option(help="Section gene_essentiality of the config, as JSON.")],
    seed: Annotated[int, Option()],
    output: Annotated[Path, Option()],
    tokens: Annotated[Path, Option(help="JSON to write: samples and genes that need tokens.")],
) -> None:
    """Freeze the folds of every regime; a patient in two strict folds is an error."""
    chosen = json.loads(settings)
    measured_lines, genes = measured(dependency)
    units = lines_of(samples, cell_lines, measured_lines, chosen["cohort"])
    legacy, strict = chosen["legacy"], chosen["strict"]

    def folds(units: Units, protocol: str, regime: str, repeat: int, fold: np.ndarray) -> Any:
        return manifest(
            units,
            fold,
            task=TASK,
            dataset=chosen["cohort"],
            protocol=protocol,
            regime=regime,
            repeat=repeat,
            seed=seed,
        )

    def dealt(units: Units, strata: list[str], groups: list[str], n: int, *stream: int) -> Any:
        n = min(n, len(set(groups)))
        if n < 2:
            raise InputError(
                f"{samples}: {len(units.unit)} lines are at most one {units.group_kind}; two are "
                "needed to hold one out. Add lines, or leave evaluate.gene_essentiality out"
            )
        return assign_folds(strata, groups, n, np.random.default_rng([seed, *stream]))

    anyone = [""] * len(units.unit)
    tables = [
        folds(units, "legacy", "random_folds", 0, dealt(units, anyone, units.unit, legacy["folds"]))
    ]
    for repeat in range(strict["repeats"]):
        fold = dealt(units, units.stratum, units.group, strict["folds"], repeat)
        tables.append(folds(units, "strict", "held_out_lines", repeat, fold))
    whole = lineages_of(units)
    fold = dealt(whole, [""] * len(whole.unit), whole.group, strict["lineage_folds"], 0, 1)
    tables.append(folds(whole, "strict", "held_out_lineages", 0, fold))
    some = asked_genes(genes, chosen["token_genes"], seed)
    each = Units(some, some, "gene", [""] * len(some), [chosen["cohort"]] * len(some))
    fold = dealt(each, each.stratum, each.group, strict["folds"], 0, 2)
    tables.append(folds(each, "strict", "held_out_genes", 0, fold))
    write_manifest(output, tables)
    write_json(tokens, {"samples": units.unit, "genes": some})
    print(f"{len(units.unit)} cell lines, {len(set(units.group))} patients", file=sys.stderr)


def measured(dependency: Path) -> tuple[set[str], list[str]]:
    """Return the lines and the genes (sorted) that the table knows; raises InputError if none."""
    try:
        columns = ["cell_line_id", "gene_id"]
        table = pq.read_table(dependency, columns=columns, read_dictionary=columns)
    except (OSError, KeyError, ValueError) as error:
        raise InputError(f"{dependency}: no readable table ({error}); make it again") from error
    return set(table["cell_line_id"].unique().to_pylist()), sorted(
        table["gene_id"].unique().to_pylist()
    )


def lines_of(samples: Path, cell_lines: Path, measured_lines: set[str], cohort: str) -> Units:
    """Return one sample a line that has expression and dependency, sorted by sample id.

    A group is all lines of a patient, with those derived from one another; patients of lines that
    are not tested join groups too. Raises InputError if no line is left.
    """
    # Imported here: it loads pandas, for which the help of this step need not wait.
    from bulkformer.outcomes.cell_lines import resolver

    known = read_columns(cell_lines, KEYS)
    parts = zip(known["patient_id"], known["parent"], known["cell_line_id"], strict=True)
    keys = [",".join(key for key in own if key) for own in parts]
    group_of = dict(
        zip(known["cell_line_id"], connected_groups(keys, known["cell_line_id"]), strict=True)
    )
    lineage_of = dict(zip(known["cell_line_id"], known["lineage"], strict=True))
    line_of = resolver(pq.read_table(cell_lines, columns=["cell_line_id", "sanger_id"]))
    table = read_kept(samples, ["cell_line_id"])
    found: dict[str, str] = {}
    for sample_id, name in zip(table["sample_id"], table["cell_line_id"], strict=True):
        line = line_of.get(name)
        if line in measured_lines:
            found.setdefault(line, sample_id)
    if not found:
        raise InputError(
            f"{samples}: none of its {len(table['sample_id'])} samples is a cell line with known "
            f"dependencies; name another cohort in evaluate.gene_essentiality.cohort"
        )
    lines = sorted(found, key=lambda line: found[line])
    return Units(
        unit=[found[line] for line in lines],
        group=[group_of[line] for line in lines],
        group_kind="patient",
        stratum=[lineage_of[line] or UNKNOWN for line in lines],
        cohort=[cohort] * len(lines),
    )


def lineages_of(units: Units) -> Units:
    """Return lines in groups of whole lineages; a patient may join two of them.

    Lines of unknown lineage are left out: one of them could be of the lineage that is held out.
    """
    known = [row for row, lineage in enumerate(units.stratum) if lineage != UNKNOWN]
    if len(known) < len(units.unit):
        print(
            f"held_out_lineages: left out {len(units.unit) - len(known)} of {len(units.unit)} "
            "cell lines, whose lineage is not known",
            file=sys.stderr,
        )
    unit, patient, lineage, cohort = (
        [values[row] for row in known]
        for values in (units.unit, units.group, units.stratum, units.cohort)
    )
    keys = [
        f"lineage {own.replace(',', ' ')},patient {name}"
        for own, name in zip(lineage, patient, strict=True)
    ]
    return Units(unit, connected_groups(keys, unit), "lineage", lineage, cohort)


def asked_genes(genes: list[str], at_most: int | None, seed: int) -> list[str]:
    """Return the genes whose tokens are made, sorted: all, or a random choice of them."""
    if at_most is None or at_most >= len(genes):
        return genes
    chosen = np.random.default_rng([seed, 3]).permutation(len(genes))[:at_most]
    return [genes[place] for place in sorted(chosen)]


if __name__ == "__main__":
    command(gene_essentiality_split)
