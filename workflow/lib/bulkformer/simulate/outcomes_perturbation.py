"""Perturbation profiles: L1000 as GCTX with its tables, and the same compounds as PRnet's H5AD.

A compound is a ring system with a group on it. The group says which program it shifts and which
way, the ring system how strongly: so a compound whose ring system was never seen can be predicted
from its structure, and one in a cell line that was never seen from itself.
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from bulkformer.files import atomic
from bulkformer.simulate.writers import gzip_text, tab_line

LANDMARKS = 978
INFERRED = 0.25  # further genes for each landmark gene, which nobody may read
CELL_LINES = 6
RINGS = {"c1ccccc1": 1.2, "c1ccc2ccccc2c1": 1.0, "c1ccsc1": 0.8, "C1CCCCC1": 0.6}  # strength
GROUPS = {"S(=O)(=O)N": 1.0, "C(=O)O": 1.0, "C(F)(F)F": -1.0}  # which way its program is shifted
COMPOUNDS = len(RINGS) * len(GROUPS)
SALT = ".Cl"
REPLICATES = 2
TIMES_H = [6, 24]
DOSES_UM = [1.0, 10.0]
SHIFT = {1.0: 0.8, 10.0: 1.6}  # of the program, in units of activity, for a ring of strength 1
SOLVENT_WELLS, VECTOR_WELLS = 3, 2
NOISE, PLATE_SPREAD, GENE_SPREAD = 0.25, 0.15, 1.5
MISSING = -666


@dataclass(frozen=True)
class Well:
    """One profile: what stood in the well, and by how much it shifts which program."""

    profile_id: str
    plate: str
    perturbagen_id: str
    name: str
    kind: str
    dose: str
    unit: str
    time: int
    line: int
    program: int = 0
    shift: float = 0.0
    smiles: str = str(MISSING)


def draw_wells(lines: pd.DataFrame, n_programs: int) -> list[Well]:
    """Return all wells, plate by plate.

    Every second plate has no solvent wells, so that its compounds must be compared with those of
    another plate of the same line and time. Controls have no dose (-666); one compound has two
    ids, one of them its salt, and one dose is given in another unit.
    """
    wells: list[Well] = []
    for line in range(CELL_LINES):
        for time in TIMES_H:
            for replicate in range(1, REPLICATES + 1):
                name = lines["name"][line]
                plate = f"SIM001_{name}_{time}H_X{replicate}"
                at = (time, line)

                def add(identity: tuple[str, str, str, str, str], at=at, plate=plate, **more):
                    wells.append(
                        Well(f"{plate}_B1:W{len(wells):05d}", plate, *identity, *at, **more)
                    )

                for compound in range(COMPOUNDS):
                    for dose in DOSES_UM:
                        # Its second id stands on the second plates.
                        second = compound == 2 and replicate == 2
                        identity = f"BRD-K9{compound:04d}{'B' if second else 'A'}"
                        ring = list(RINGS)[compound // len(GROUPS)]
                        group = list(GROUPS)[compound % len(GROUPS)]
                        unit = "ug" if (line, compound, dose) == (0, 0, 1.0) else "um"
                        add(
                            (identity, f"perturbin-{compound}", "trt_cp", f"{dose:g}", unit),
                            program=compound % len(GROUPS) % n_programs,
                            shift=SHIFT[dose] * RINGS[ring] * GROUPS[group],
                            smiles=ring + group + (SALT if second else ""),
                        )
                add(("TRCN900001", "GENE0001", "trt_sh", "-666", "-666"))
                if replicate == 1:
                    for _ in range(SOLVENT_WELLS):
                        add(("DMSO", "DMSO", "ctl_vehicle", "-666", "-666"))
                for _ in range(VECTOR_WELLS):
                    add(("EMPTY_VECTOR", "EMPTY_VECTOR", "ctl_vector", "-666", "-666"))
    return wells


def draw_levels(
    wells: list[Well], lines: pd.DataFrame, genes: pd.DataFrame, rng: np.random.Generator
) -> np.ndarray:
    """Return log2 intensities float32 [n_wells, n_genes] between 0 and 15 (level 3 of L1000)."""
    activity = np.stack(lines["activity"].tolist())
    shifted = activity[[well.line for well in wells]].copy()
    for row, well in enumerate(wells):
        shifted[row, well.program] += well.shift
    program = genes["program"].to_numpy()
    loading = np.where(program >= 0, genes["loading"].to_numpy(), 0.0)
    plates = {well.plate: n for n, well in enumerate(wells)}
    plate_effect = rng.normal(0, PLATE_SPREAD, (len(wells), len(genes)))
    levels = 7 + rng.normal(0, GENE_SPREAD, len(genes))
    levels = levels + shifted[:, np.maximum(program, 0)] * loading / np.log(2)
    levels += plate_effect[[plates[well.plate] for well in wells]]
    levels += rng.normal(0, NOISE, levels.shape)
    return np.clip(levels, 0, 15).astype(np.float32)


def write_l1000(
    gctx: Path,
    profiles: Path,
    gene_info: Path,
    perturbagens: Path,
    wells: list[Well],
    genes: pd.DataFrame,
    levels: np.ndarray,
    structures: Mapping[str, str] | None = None,
) -> None:
    """Write the matrix, gzipped, and its three tables; `genes` has entrez, symbol, landmark.

    `structures`, SMILES by name, are of compounds that no profile is of: the list of perturbagens
    names them too.
    The matrix has a profile that no table describes, the table one that the matrix lacks, and two
    values are -666. A column of the GCTX file is a profile, hence a row of its HDF5 matrix.
    """
    values = levels.copy()
    values[5, 3] = values[9, 0] = MISSING
    held = io.BytesIO()
    with h5py.File(held, "w") as file:
        chunks = (min(64, len(values)), values.shape[1])
        save = {"track_times": False}
        file.create_dataset(
            "0/DATA/0/matrix", data=np.vstack([values, values[:1]]), chunks=chunks, **save
        )
        ids = [well.profile_id for well in wells] + ["SIM999_UNDESCRIBED:A01"]
        width = max(map(len, ids)) + 4  # padded, as older writers leave them
        file.create_dataset("0/META/COL/id", data=np.array(ids, f"S{width}"), **save)
        file.create_dataset("0/META/ROW/id", data=np.array(genes["entrez"], "S12"), **save)
        file.attrs["version"] = "GCTX1.0"
    with (
        atomic(gctx) as partial,
        partial.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=1) as packed,
    ):
        packed.write(held.getvalue())

    names = ["inst_id", "rna_plate", "rna_well", "pert_id", "pert_iname", "pert_type", "pert_dose"]
    with gzip_text(profiles) as file:
        file.write(tab_line([*names, "pert_dose_unit", "pert_time", "pert_time_unit", "cell_id"]))
        unread = Well(
            "SIM999_UNREAD:A01", "SIM999", "DMSO", "DMSO", "ctl_vehicle", *["-666"] * 2, 6, 0
        )
        for well in [*wells[::-1], unread]:
            cell = well.plate.split("_")[1] if well is not unread else "NONE"
            place = well.profile_id.rpartition(":")[2]
            identity = [well.perturbagen_id, well.name, well.kind, well.dose, well.unit]
            file.write(
                tab_line([well.profile_id, well.plate, place, *identity, well.time, "h", cell])
            )
    with gzip_text(gene_info) as file:
        file.write(
            tab_line(["pr_gene_id", "pr_gene_symbol", "pr_gene_title", "pr_is_lm", "pr_is_bing"])
        )
        for gene in genes.to_dict("records"):
            measured = int(gene["landmark"])
            file.write(tab_line([gene["entrez"], gene["symbol"], "simulated", measured, 1]))
    with gzip_text(perturbagens) as file:
        file.write(
            tab_line(["pert_id", "pert_iname", "pert_type", "canonical_smiles", "pubchem_cid"])
        )
        for number, (name, smiles) in enumerate((structures or {}).items()):
            identity = f"BRD-A9{number:04d}A"
            file.write(tab_line([identity, name.lower(), "trt_cp", smiles, "-666"]))
        listed = {well.perturbagen_id: well for well in wells}
        for identity, well in sorted(listed.items()):
            restricted = identity.endswith(f"{COMPOUNDS - 1:04d}A")
            smiles = "restricted" if restricted else well.smiles
            file.write(tab_line([identity, well.name, well.kind, smiles, "-666"]))


def write_prnet(
    path: Path, wells: list[Well], genes: pd.DataFrame, levels: np.ndarray, rng: np.random.Generator
) -> None:
    """Write compounds and solvent controls, landmark genes by symbol, and a frozen split."""
    # Slow to import.
    import anndata

    rows = [n for n, well in enumerate(wells) if well.kind in ("trt_cp", "ctl_vehicle")]
    landmark = genes["landmark"].to_numpy()
    held_out = set(rng.permutation(COMPOUNDS)[:2].tolist())
    cells = [wells[n].plate.split("_")[1] for n in rows]
    tested = [wells[n].name.rpartition("-")[2] in {str(drug) for drug in held_out} for n in rows]
    obs = pd.DataFrame(
        {
            "cov_drug_name": [
                f"{cell}_{wells[n].name}" for cell, n in zip(cells, rows, strict=True)
            ],
            "cell_type": cells,
            "SMILES": [wells[n].smiles.replace(str(MISSING), "") for n in rows],
            "dose": [float(wells[n].dose) for n in rows],
            "control": [int(wells[n].kind == "ctl_vehicle") for n in rows],
            "drug_split_0": ["test" if held else "train" for held in tested],
        },
        index=[wells[n].profile_id for n in rows],
    )
    var = pd.DataFrame(index=genes["symbol"][landmark].astype(str))
    data = anndata.AnnData(X=levels[rows][:, landmark], obs=obs, var=var)
    with atomic(path) as partial:
        data.write_h5ad(partial)
