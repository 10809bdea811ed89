"""Outcomes of cell lines: lists of models, gene dependency (DepMap) and drug response (GDSC)."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd

from bulkformer.files import atomic
from bulkformer.simulate.outcomes_workbook import write_workbook

COMMON_ESSENTIAL = 0.08  # share of genes that every line needs
SELECTIVE = 0.12  # share of genes that a line needs as far as their program is active in it
SELECTIVE_SLOPE = -0.35
EFFECT_NOISE = 0.08
MISSING_CELLS = 25
LN_IC50_SLOPE = 0.9  # for one standard deviation of the program
LN_IC50_NOISE = 0.4
# Structures of the drugs, which no other compound of the universe has. No two share a scaffold,
# and each drug acts by a program of its own: what is learned of some says nothing of the others.
DRUG_SMILES = {
    "Venetoclax": "CCc1ccccc1O",
    "ABT-737": "Cc1ccc2ccccc2c1",
    "Simulatin-3": "OC1CCCCC1C",
    "Simulatin-4": "Cc1ccncc1N",
    "Simulatin-5": "CC1CCOCC1",
    "Simulatin-6": "Cc1csc(N)n1",
    "Simulatin-7": "Cc1c[nH]c2ccccc12",
    "Simulatin-8": "O=C1CCCN1C",
    "Simulatin-9": "Cc1ccc(cc1)-c1ccccc1F",
    "Simulatin-10": "CCC(CC)C(=O)NCCO",
}

# DepMap does not know the SIDM id of these lines, but the passports know their ACH id.
WITHOUT_SANGER_ID = slice(5, 9)
ONLY_IN_DEPMAP, ONLY_IN_SANGER = 20, 21


def write_models(models: Path, passports: Path, lines: pd.DataFrame) -> None:
    """Write Model.csv and the model list, which know each other's ids in part.

    One line is only in DepMap, one only at Sanger, one field holds two ACH ids, and the second
    derived line is tied to its parent by the passports alone.
    """
    header = "ModelID,PatientID,CellLineName,StrippedCellLineName,DepmapModelType,OncotreeLineage"
    rows = [f"{header},OncotreePrimaryDisease,RRID,SangerModelID,COSMICID,PublicComments\n"]
    unnamed = set(range(len(lines))[WITHOUT_SANGER_ID]) | {ONLY_IN_DEPMAP}
    derived = [n for n, parent in enumerate(lines["parent"]) if parent is not None]
    for n, line in enumerate(lines.to_dict("records")):
        if n == ONLY_IN_SANGER:
            continue
        patient = "PT-sim900" if n == derived[-1] else line["patient_id"]
        stripped = "".join(c for c in line["name"] if c.isalnum())
        sanger_id = "" if n in unnamed else line["sanger_id"]
        rows.append(
            f"{line['cell_line_id']},{patient},{line['name']},{stripped},SIM,{line['lineage']},"
            f'"Carcinoma, simulated",{line["cellosaurus"]},{sanger_id},{line["cosmic_id"]},\n'
        )
    _write(models, rows)

    sanger_of = dict(zip(lines["cell_line_id"], lines["sanger_id"], strict=True))
    rows = ["model_id,sample_id,patient_id,parent_id,model_name,tissue,BROAD_ID,COSMIC_ID,RRID\n"]
    number_of_patient = {patient: n for n, patient in enumerate(lines["patient_id"].unique())}
    for n, line in enumerate(lines.to_dict("records")):
        if n == ONLY_IN_DEPMAP:
            continue
        broad = {ONLY_IN_SANGER: "", 0: f"{line['cell_line_id']};{line['cell_line_id']}"}
        parent = sanger_of.get(line["parent"], "")
        rows.append(
            f"{line['sanger_id']},SIDS{n:05d},SIDP9{number_of_patient[line['patient_id']]:04d},"
            f"{parent},{line['name']},{line['lineage']},{broad.get(n, line['cell_line_id'])},"
            f"{line['cosmic_id']},{line['cellosaurus']}\n"
        )
    _write(passports, rows)


def write_dependency(
    effect: Path,
    probability: Path,
    lines: pd.DataFrame,
    genes: pd.DataFrame,
    rng: np.random.Generator,
) -> dict[str, list[str]]:
    """Write gene effect and probability of dependency; return the planted genes by their kind.

    Both tables have `SYMBOL (ENTREZ)` columns but orders of their own. A column is no gene of the
    vocabulary, some cells are empty, one line is unknown, and one has no probabilities.
    `genes` has gene_id, symbol, entrez, program (-1 outside all).
    """
    activity = np.stack(lines["activity"].tolist())
    program = genes["program"].to_numpy()
    in_a_program = rng.permutation(np.flatnonzero(program >= 0))
    n_essential, n_selective = (int(share * len(genes)) for share in (COMMON_ESSENTIAL, SELECTIVE))
    essential = in_a_program[:n_essential]
    selective = in_a_program[n_essential : n_essential + n_selective]
    scores = rng.normal(0, EFFECT_NOISE, (len(lines), len(genes)))
    scores[:, essential] -= rng.uniform(0.9, 1.4, len(essential))
    scores[:, selective] += SELECTIVE_SLOPE * activity[:, program[selective]] - 0.4
    scores[
        rng.integers(0, len(lines), MISSING_CELLS), rng.integers(0, len(genes), MISSING_CELLS)
    ] = np.nan
    chance = 1 / (1 + np.exp(np.clip(10 * (scores + 0.5), -50, 50)))
    names = [f"{s} ({e})" for s, e in zip(genes["symbol"], genes["entrez"], strict=True)]
    models = lines["cell_line_id"].tolist()
    models[ONLY_IN_SANGER] = "ACH-999999"
    for path, values, left_out in [(effect, scores, None), (probability, chance, 2)]:
        rows = [n for n in rng.permutation(len(lines)).tolist() if n != left_out]
        columns = rng.permutation(len(genes)).tolist()
        text = [",".join(["", *(names[column] for column in columns), "GONE1 (999999999)"]) + "\n"]
        for row in rows:
            cells = ["" if np.isnan(value) else f"{value:.5f}" for value in values[row, columns]]
            text.append(",".join([models[row], *cells, "0.01"]) + "\n")
        _write(path, text)
    gene_id = genes["gene_id"].to_numpy()
    return {"essential": sorted(gene_id[essential]), "selective": sorted(gene_id[selective])}


def write_gdsc(
    gdsc1: Path, gdsc2: Path, compounds: Path, lines: pd.DataFrame, rng: np.random.Generator
) -> dict[str, int]:
    """Write the two workbooks and the list of compounds; return {drug: program it depends on}.

    The first compound is misspelt in GDSC1 and has an id of its own there, the second is spelt
    without its dash, the third is listed under two ids of one screen, once with its concentration.
    Names of lines vary too; one curve is of a line that no list has, one has no IC50, and one pair
    was measured twice.
    """
    activity = np.stack(lines["activity"].tolist())
    standard = (activity - activity.mean(axis=0)) / activity.std(axis=0)
    name = list(DRUG_SMILES)
    first = [2001 + n for n in range(len(name))]
    program = [n % activity.shape[1] for n in range(len(name))]
    mean = rng.normal(2.0, 1.5, len(name))
    # (drug, id, spelling) by screen
    screens = {
        "GDSC1": [(0, 2101, "Venotoclax"), (1, first[1], "ABT737")]
        + [(n, first[n], name[n]) for n in range(3, 7)],
        "GDSC2": [(n, first[n], name[n]) for n in range(len(name))]
        + [(2, 2103, f"{name[2]} (50 uM)")],
    }
    header = ["DATASET", "NLME_RESULT_ID", "NLME_CURVE_ID", "COSMIC_ID", "CELL_LINE_NAME"]
    header += ["SANGER_MODEL_ID", "TCGA_DESC", "DRUG_ID", "DRUG_NAME", "PUTATIVE_TARGET"]
    header += ["PATHWAY_NAME", "COMPANY_ID", "WEBRELEASE", "MIN_CONC", "MAX_CONC", "LN_IC50"]
    header += ["AUC", "RMSE", "Z_SCORE"]
    for dataset, path in [("GDSC1", gdsc1), ("GDSC2", gdsc2)]:
        rows: list[list[object]] = [header]
        for drug, drug_id, spelling in screens[dataset]:
            z = rng.normal(0, LN_IC50_NOISE, len(lines))
            z += LN_IC50_SLOPE * standard[:, program[drug]]
            for n, line in enumerate(lines.to_dict("records")):
                if n == ONLY_IN_DEPMAP:
                    continue
                value = round(float(mean[drug] + z[n]), 6)
                spelt = line["name"].replace("-", "") if n % 7 == 0 else line["name"]
                row = [dataset, 282, 9_000_000 + len(rows), line["cosmic_id"], spelt]
                row += [line["sanger_id"], "SIM", drug_id, spelling, f"TARGET{drug}", "Simulated"]
                row += [1046, "Y", 0.01, 10.0, value, round(1 / (1 + math.exp(-value / 2)), 6)]
                rows.append([*row, 0.05, round(float(z[n]), 4)])
        unknown = [*rows[1]]
        unknown[4:6] = ["UNLISTED-1", "SIDM99999"]
        twice = [*rows[2]]
        twice[15] += 0.1
        rows += [unknown, twice]
        rows[3][15] = None
        write_workbook(path, {"Sheet 1": rows}, stated_size="A1:A1")
    listed = {drug_id: spelling for _, drug_id, spelling in screens["GDSC1"] + screens["GDSC2"]}
    text = ["DRUG_ID,SCREENING_SITE,DRUG_NAME,SYNONYMS,TARGET,TARGET_PATHWAY\n"]
    text += [
        f'{drug_id},SIM,{spelling},"one, two",T,Simulated\n'
        for drug_id, spelling in sorted(listed.items())
    ]
    _write(compounds, text)
    return dict(zip(name, program, strict=True))


def _write(path: Path, lines: list[str]) -> None:
    with atomic(path) as partial:
        partial.write_text("".join(lines))
