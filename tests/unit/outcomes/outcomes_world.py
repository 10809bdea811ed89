"""A small truth, all provider files made from it, and every table of the outcomes stage."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bulkformer.expression.vocabulary import SCHEMA
from bulkformer.files import write_table
from bulkformer.outcomes.cell_lines import cell_lines
from bulkformer.outcomes.dependency import dependency
from bulkformer.outcomes.disease_datasets import disease_datasets
from bulkformer.outcomes.drugs import drugs
from bulkformer.outcomes.perturbation import perturbation
from bulkformer.outcomes.response import response
from bulkformer.outcomes.survival import survival
from bulkformer.simulate.annotation import draw_annotation
from bulkformer.simulate.cell_lines import cell_line_table
from bulkformer.simulate.cohorts import draw_biology, draw_series, draw_tcga
from bulkformer.simulate.counts import draw_abundance
from bulkformer.simulate.nomenclature import draw_nomenclature
from bulkformer.simulate.outcomes import outcomes
from bulkformer.simulate.programs import draw_programs
from bulkformer.simulate.reference_writers import write_hgnc
from bulkformer.simulate.universe import genes_table, samples_table
from bulkformer.sources.hgnc import read_hgnc

SEED, GENES, PROGRAMS, PATIENTS = 11, 300, 6, 200
PROVIDER_FILES = {
    "tcga_cdr": "TCGA-CDR.xlsx",
    "disignatlas": "dis_info_datasets.csv",
    "models": "Model.csv",
    "passports": "model_list.csv",
    "effect": "CRISPRGeneEffect.csv",
    "probability": "CRISPRGeneDependency.csv",
    "gdsc1": "GDSC1.xlsx",
    "gdsc2": "GDSC2.xlsx",
    "compounds": "compounds.csv",
    "gctx": "level3.gctx.gz",
    "profiles": "inst_info.txt.gz",
    "landmarks": "gene_info.txt.gz",
    "perturbagens": "pert_info.txt.gz",
    "prnet": "Lincs_L1000.h5ad",
    "truth": "outcomes.json",
}
ENDPOINTS = ["OS", "DSS", "DFI", "PFI"]


def write_files(folder: Path, seed: int = SEED) -> dict[str, Path]:
    """Write the truth and the files of all providers; return them by name."""
    rng = np.random.default_rng(seed)
    annotation = draw_annotation(GENES, rng)
    nomenclature = draw_nomenclature(annotation, rng)
    programs = draw_programs(annotation.coding, PROGRAMS, rng)
    biology = draw_biology(PROGRAMS, rng)
    cohorts = [draw_tcga(PATIENTS, biology, rng), draw_series(24, biology, rng)]
    truth = {
        "truth_genes": folder / "genes_truth.parquet",
        "truth_samples": folder / "samples_truth.parquet",
        "cell_lines": folder / "cell_lines_truth.parquet",
        "hgnc": folder / "hgnc.txt",
    }
    write_table(
        truth["truth_genes"], genes_table(annotation, programs, draw_abundance(annotation, rng))
    )
    write_table(truth["truth_samples"], samples_table(cohorts))
    write_table(truth["cell_lines"], cell_line_table(pq.read_table(truth["truth_samples"]), seed))
    write_hgnc(truth["hgnc"], annotation, nomenclature)
    files = {name: folder / file for name, file in PROVIDER_FILES.items()}
    outcomes(**truth, seed=seed, **files)
    return truth | files


def write_vocabulary(path: Path, truth_genes: Path, hgnc: Path) -> Path:
    """Write genes.parquet with the coding genes of the truth and their Entrez ids."""
    names = read_hgnc(hgnc).dropna(subset=["gene_id"]).set_index("gene_id")["entrez"].to_dict()
    rows = [
        {
            "gene_id": gene["gene_id"],
            "symbol": gene["symbol"] or gene["gene_id"],
            "entrez": names.get(gene["gene_id"]),
            "other_entrez": [],
            "length_bp": gene["length_bp"],
            "biotype": gene["biotype"],
            "aliases": [],
            "ambiguous": [],
        }
        for gene in pq.read_table(truth_genes).to_pylist()
        if gene["in_vocabulary"]
    ]
    write_table(path, pa.Table.from_pylist(rows, schema=SCHEMA))
    return path


def write_tables(folder: Path, files: dict[str, Path]) -> dict[str, Path]:
    """Run every step of the stage on the providers' files; return tables and summaries by name."""
    genes = write_vocabulary(folder / "genes.parquet", files["truth_genes"], files["hgnc"])

    def places(name: str) -> dict[str, Path]:
        return {"output": folder / f"{name}.parquet", "summary": folder / f"{name}.json"}

    survival(table=files["tcga_cdr"], format="tcga_cdr", endpoint=ENDPOINTS, **places("survival"))
    cell_lines(models=files["models"], passports=files["passports"], **places("cell_lines"))
    drugs(
        compounds=files["compounds"],
        format="gdsc",
        dataset="GDSC",
        structures=files["perturbagens"],
        structure_columns="name=pert_iname;smiles=canonical_smiles",
        **places("drugs"),
    )
    response(
        curves=[files["gdsc1"], files["gdsc2"]],
        format="gdsc",
        dataset="GDSC",
        drugs=folder / "drugs.parquet",
        cell_lines=folder / "cell_lines.parquet",
        **places("response"),
    )
    dependency(
        format="depmap",
        release="24Q4",
        genes=genes,
        cell_lines=folder / "cell_lines.parquet",
        effect=files["effect"],
        probability=files["probability"],
        **places("dependency"),
    )
    perturbation(
        format="l1000",
        expression=files["gctx"],
        genes=genes,
        profiles=files["profiles"],
        landmarks=files["landmarks"],
        perturbagens=files["perturbagens"],
        **places("perturbation"),
    )
    disease_datasets(
        table=files["disignatlas"], organism="Homo sapiens", **places("disease_datasets")
    )
    return {path.name: path for path in sorted(folder.iterdir())}
