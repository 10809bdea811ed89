"""Write what became of patients, cell lines and treated cells, in the formats of its providers.

Every outcome depends on a program whose activity the expression of the same patient or line shows,
so that a benchmark on the demo has something to find; which program it is stands in the truth.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import typer

from bulkformer.cli import command
from bulkformer.files import write_json
from bulkformer.simulate import outcomes_clinic, outcomes_lines, outcomes_perturbation
from bulkformer.simulate.outcomes_perturbation import INFERRED, LANDMARKS
from bulkformer.sources.hgnc import read_hgnc


def outcomes(
    truth_genes: Annotated[Path, typer.Option(help="programs and loadings by gene")],
    truth_samples: Annotated[Path, typer.Option(help="program activities by sample")],
    cell_lines: Annotated[Path, typer.Option(help="program activities by cell line")],
    hgnc: Annotated[Path, typer.Option(help="HGNC complete set, for Entrez ids")],
    seed: Annotated[int, typer.Option()],
    tcga_cdr: Annotated[Path, typer.Option(help="workbook of endpoints")],
    disignatlas: Annotated[Path, typer.Option(help="table of disease datasets")],
    models: Annotated[Path, typer.Option(help="Model.csv of DepMap")],
    passports: Annotated[Path, typer.Option(help="model list of Cell Model Passports")],
    effect: Annotated[Path, typer.Option(help="CRISPRGeneEffect.csv")],
    probability: Annotated[Path, typer.Option(help="CRISPRGeneDependency.csv")],
    gdsc1: Annotated[Path, typer.Option(help="workbook of GDSC1")],
    gdsc2: Annotated[Path, typer.Option(help="workbook of GDSC2")],
    compounds: Annotated[Path, typer.Option(help="compounds of GDSC")],
    gctx: Annotated[Path, typer.Option(help="L1000 level 3, gzipped")],
    profiles: Annotated[Path, typer.Option(help="inst_info of L1000")],
    landmarks: Annotated[Path, typer.Option(help="gene_info of L1000")],
    perturbagens: Annotated[Path, typer.Option(help="pert_info of L1000")],
    prnet: Annotated[Path, typer.Option(help="Lincs_L1000.h5ad of PRnet")],
    truth: Annotated[Path, typer.Option(help="which program each outcome depends on")],
) -> None:
    """Write all outcome files of the universe; the same truth and seed give the same bytes."""

    def stream(part: str) -> np.random.Generator:
        return np.random.default_rng([seed, *part.encode()])

    samples = pq.read_table(truth_samples).to_pandas()
    lines = pq.read_table(cell_lines).to_pandas()
    genes = named_genes(truth_genes, hgnc)
    hazard = outcomes_clinic.write_tcga_cdr(tcga_cdr, samples, stream("survival"))
    outcomes_clinic.write_disignatlas(disignatlas, samples)
    outcomes_lines.write_models(models, passports, lines)
    planted = outcomes_lines.write_dependency(
        effect, probability, lines, genes, stream("dependency")
    )
    drugs = outcomes_lines.write_gdsc(gdsc1, gdsc2, compounds, lines, stream("response"))

    measured = landmark_genes(genes, stream("landmarks"))
    n_programs = len(lines["activity"].iloc[0])
    wells = outcomes_perturbation.draw_wells(lines, n_programs)
    levels = outcomes_perturbation.draw_levels(wells, lines, measured, stream("perturbation"))
    outcomes_perturbation.write_l1000(
        gctx,
        profiles,
        landmarks,
        perturbagens,
        wells,
        measured,
        levels,
        outcomes_lines.DRUG_SMILES,
    )
    outcomes_perturbation.write_prnet(prnet, wells, measured, levels, stream("prnet"))
    shifts = {well.name: [well.program, well.shift] for well in wells if well.dose == "10"}
    write_json(
        truth,
        {
            "hazard_program": hazard,
            "drug_program": drugs,
            "dependency": planted,
            "perturbation_program_and_shift": shifts,
        },
    )


def named_genes(truth_genes: Path, hgnc: Path) -> pd.DataFrame:
    """Return the vocabulary genes that have a symbol and an Entrez id of their own.

    Columns gene_id, symbol, entrez, program (-1 outside all), loading (on the program itself).
    """
    genes = pq.read_table(truth_genes).to_pandas()
    names = read_hgnc(hgnc).dropna(subset=["gene_id", "entrez"]).drop_duplicates("gene_id")
    names = names[~names["entrez"].duplicated(keep=False)]
    found = genes[genes["in_vocabulary"]].merge(names[["gene_id", "entrez"]], on="gene_id")
    found = found[found["symbol"] != ""].reset_index(drop=True)
    return pd.DataFrame(
        {
            "gene_id": found["gene_id"],
            "symbol": found["symbol"],
            "entrez": found["entrez"],
            "program": found["program"].fillna(-1).astype(int),
            "loading": [float(loadings[0]) for loadings in found["loadings"]],
        }
    )


def landmark_genes(genes: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Return landmark genes, at most half of all, and some inferred ones, in random order."""
    n_landmarks = min(LANDMARKS, len(genes) // 2)
    chosen = rng.permutation(len(genes))[: int((1 + INFERRED) * n_landmarks)]
    found = genes.iloc[chosen].reset_index(drop=True)
    return found.assign(landmark=rng.permutation(np.arange(len(found)) < n_landmarks))


if __name__ == "__main__":
    command(outcomes)
