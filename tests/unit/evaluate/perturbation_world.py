"""A small planted world of treated and control wells, written as the outcomes stage writes it."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from bulkformer.embed.embed import embed
from bulkformer.evaluate.statistics import Bootstrap
from bulkformer.evaluate.task import Scoring, load_task, open_predictions
from bulkformer.evaluate.tasks.perturbation import perturbation
from bulkformer.evaluate.tasks.perturbation_pairs import perturbation_pairs
from bulkformer.evaluate.tasks.perturbation_split import perturbation_split

RINGS = ["c1ccccc1", "c1ccc2ccccc2c1", "c1ccsc1", "C1CCCCC1"]
GROUPS = ["S(=O)(=O)N", "C(=O)O", "C(F)(F)F"]
SETTINGS = {
    "dataset": "planted",
    "log_base": 2,
    "max_profiles": 1000,
    "components": 5,
    "neighbours": 3,
    "top_genes": 5,
    "legacy": {"folds": 3, "split_column": None, "hidden": [8], "epochs": 5},
    "strict": {
        "regimes": [
            "held_out_compounds",
            "held_out_cells",
            "held_out_plates",
            "held_out_compounds_and_cells",
        ],
        "folds": 3,
        "repeats": 1,
        "heads": ["ridge"],
    },
}
TEXT = ["profile_id", "perturbagen", "perturbagen_id", "perturbagen_type", "smiles", "cell_id"]
TEXT += ["plate", "kind", "controls"]


@dataclass
class Wells:
    """Wells of `n_cells` lines by `n_plates` plates: all compounds once, `n_controls` controls.

    A treated level is that of the line, plus `common` for every compound, plus `specific` times the
    pattern of the compound's group; noise is added to every well. Two lines have the time 24 h.
    """

    n_genes: int = 60
    n_cells: int = 4
    n_plates: int = 2
    n_controls: int = 4
    common: float = 0.0
    specific: float = 1.0
    noise: float = 0.2
    seed: int = 3
    wells: list[dict] = field(default_factory=list)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        of_gene = rng.normal(8, 2, self.n_genes)
        of_cell = rng.normal(0, 1, (self.n_cells, self.n_genes))
        pattern = rng.normal(0, 1, (len(GROUPS) + 1, self.n_genes))
        levels = []
        for cell in range(self.n_cells):
            for plate in range(self.n_plates):
                about = {
                    "cell_id": f"CELL{cell}",
                    "plate": f"P{cell}{plate}",
                    "time_h": 24.0 if cell > 1 else 6.0,
                    "dose_um": None,
                }
                contents = [("DMSO", None, 0.0)] * self.n_controls
                contents += [
                    (f"drug-{len(GROUPS) * r + g}", ring + group, self.specific * pattern[g])
                    for r, ring in enumerate(RINGS)
                    for g, group in enumerate(GROUPS)
                ]
                for name, smiles, effect in contents:
                    treated = smiles is not None
                    self.wells.append(
                        about
                        | {
                            "profile_id": f"P{cell}{plate}:W{len(self.wells):03d}",
                            "perturbagen": name,
                            "perturbagen_id": f"id of {name}",
                            "perturbagen_type": "trt_cp" if treated else "ctl_vehicle",
                            "smiles": smiles,
                            "kind": "treated" if treated else "control",
                            "controls": "plate" if treated else None,
                            "dose_um": 10.0 if treated else None,
                        }
                    )
                    change = effect + self.common * pattern[-1] if treated else 0.0
                    level = of_gene + of_cell[cell] + change
                    levels.append(level + rng.normal(0, self.noise, self.n_genes))
        self.levels = np.array(levels)

    def table(self) -> pd.DataFrame:
        """Return the wells as a table that a test may change before it is written."""
        return pd.DataFrame(self.wells)


@dataclass
class PerturbationWorld:
    """A folder with the files of the task, and the steps that make them."""

    root: Path
    settings: dict = field(default_factory=lambda: json.loads(json.dumps(SETTINGS)))
    scored: dict[tuple[str, str], pd.DataFrame] = field(default_factory=dict)

    def __getattr__(self, name: str) -> Path:
        suffixes = {"store": "arrow"}
        return self.root / f"{name}.{suffixes.get(name, 'parquet')}"

    def write(self, table: pd.DataFrame, levels: np.ndarray, n_unknown: int = 5) -> None:
        """Write profiles and a vocabulary; the last genes are measured but not in it."""
        self.root.mkdir(parents=True, exist_ok=True)
        n_genes = levels.shape[1]
        known = n_genes - n_unknown
        vocabulary = [f"ENSG{i:011d}" for i in range(known + 20)]
        pq.write_table(pa.table({"gene_id": vocabulary}), self.genes)
        genes = [
            {"gene_id": vocabulary[g] if g < known else None, "entrez": str(g), "symbol": f"S{g}"}
            for g in range(n_genes)
        ]
        columns = {name: pa.array(table[name], pa.string(), from_pandas=True) for name in TEXT}
        for name in ("time_h", "dose_um"):
            columns[name] = pa.array(table[name], pa.float64(), from_pandas=True)
        for name in set(table) - set(columns):
            columns[name] = pa.array(table[name], pa.string(), from_pandas=True)
        flat = pa.array(np.ascontiguousarray(levels, dtype=np.float32).ravel())
        columns["values"] = pa.FixedSizeListArray.from_arrays(flat, n_genes)
        metadata = {"genes": json.dumps(genes)}
        pq.write_table(pa.table(columns).replace_schema_metadata(metadata), self.profiles)

    def pair(self, seed: int = 1) -> None:
        perturbation_pairs(
            self.profiles, self.genes, json.dumps(self.settings), seed,
            self.treated, self.controls, self.store, self.samples,
        )  # fmt: skip

    def split(self) -> pd.DataFrame:
        perturbation_split(self.treated, json.dumps(self.settings), 1, self.manifest)
        return pd.read_parquet(self.manifest)

    def vectors(self) -> Path:
        path = self.root / "vectors.parquet"
        if not path.exists():
            embed(
                model="log_tpm", embedder="log_tpm", genes=self.genes, store=self.store,
                samples=self.samples, seed=1, batch_size=8, output=path,
                description=self.root / "vectors.json",
            )  # fmt: skip
        return path

    def predict(self, head: str, protocol: str = "strict", name: str | None = None) -> Path:
        path = self.root / protocol / f"{name or head}.parquet"
        path.parent.mkdir(exist_ok=True)
        perturbation(
            protocol, "any", self.manifest, self.treated, self.controls, self.genes,
            json.dumps(self.settings), 1, path, self.vectors(), [head],
        )  # fmt: skip
        return path

    def score(self, head: str, protocol: str = "strict") -> pd.DataFrame:
        """Return all scores of one head as a table; several tests look at the same ones."""
        if (head, protocol) in self.scored:
            return self.scored[head, protocol]
        task = load_task("perturbation")
        scoring = Scoring(protocol, self.settings, {}, Bootstrap(100, 1))
        predictions = open_predictions(self.predict(head, protocol), task)
        rows = [vars(each) | vars(each.estimate) for each in task.score(predictions, scoring)]
        self.scored[head, protocol] = pd.DataFrame(rows).drop(columns="estimate")
        return self.scored[head, protocol]

    def ready(self, wells: Wells) -> "PerturbationWorld":
        """Write, pair and split."""
        self.write(wells.table(), wells.levels)
        self.pair()
        self.split()
        return self


def overall(scores: pd.DataFrame, regime: str) -> dict[str, float]:
    """Return {metric: value over everything} of one regime."""
    rows = scores[(scores["regime"] == regime) & scores["group"].isna() & scores["repeat"].isna()]
    rows = rows[rows["aggregation"] == "mean_over_groups"]
    return rows.set_index("metric")["value"].to_dict()
