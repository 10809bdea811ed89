"""A small planted world of cell lines and drugs, written as the outcomes and embed stages do."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from bulkformer.evaluate.compounds import scaffold
from bulkformer.evaluate.splits import read_manifest
from bulkformer.evaluate.statistics import Bootstrap
from bulkformer.evaluate.task import Scoring, open_predictions
from bulkformer.evaluate.tasks.drug_response import drug_response
from bulkformer.evaluate.tasks.drug_response_scores import TASK
from bulkformer.evaluate.tasks.drug_response_split import drug_response_split
from bulkformer.outcomes.tables import CELL_LINES, DRUGS, RESPONSE

RINGS = ["c1ccccc1", "c1ccncc1", "C1CCCCC1", "c1ccsc1", "C1CCOCC1", "c1ccc2ccccc2c1"]
TAILS = ["S(=O)(=O)NCC", "CCCCC(=O)OC"]  # what a compound does depends on its tail alone
LATENT, WIDTH = 3, 20
SLOPE, NOISE = 1.0, 0.4


def settings(**changes: object) -> str:
    """Section drug_response of the config as JSON; `legacy` and `strict` are updated by key."""
    section: dict = {
        "dataset": "planted",
        "cohort": "lines",
        "targets": ["ln_ic50"],
        "min_lines": 10,
        "max_fit_rmse": None,
        "replicate_curves": "fail",
        "fingerprint_bits": 256,
        "panel": None,
        "single_targets": None,
        "legacy": {
            "folds": 5,
            "hidden": [32],
            "epochs": 30,
            "learning_rate": 0.01,
            "batch_size": 32,
        },
        "strict": {
            "regimes": ["held_out_lines", "held_out_tissues", "held_out_scaffolds"],
            "folds": 4,
            "repeats": 1,
            "heads": ["ridge", "two_step_ridge"],
            "components": 5,
            "trees": 30,
        },
    }
    for key, value in changes.items():
        section[key] = section[key] | value if isinstance(value, Mapping) else value
    return json.dumps(section)


@dataclass
class ResponseWorld:
    """A results folder: `write` fills it, `split` and `predict` run the steps in it."""

    root: Path

    def __post_init__(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)

    def table(self, name: str) -> Path:
        return self.root / f"{name}.parquet"

    def write(
        self, response: Sequence[Mapping], drugs: Sequence[Mapping], lines: Sequence[Mapping]
    ) -> None:
        """Write the tables of outcomes; what a row does not say is null."""
        for name, rows, schema in [
            ("response", response, RESPONSE),
            ("drugs", drugs, DRUGS),
            ("cell_lines", lines, CELL_LINES),
        ]:
            rows = [dict.fromkeys(schema.names) | dict(row) for row in rows]
            pq.write_table(pa.Table.from_pylist(rows, schema=schema), self.table(name))

    def embed(self, lines: Sequence[str], vectors: np.ndarray, model: str = "model") -> Path:
        """Write the vectors of a model; a sample bears the name of its line."""
        flat = pa.array(np.ascontiguousarray(vectors, dtype=np.float32).ravel())
        table = pa.table(
            {
                "sample_id": [f"sample of {line}" for line in lines],
                "cell_line_id": list(lines),
                "embedding": pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1]),
            }
        )
        pq.write_table(table, self.table(model))
        return self.table(model)

    def inputs(self) -> dict[str, Path]:
        return {name: self.table(name) for name in ("response", "drugs", "cell_lines")}

    def split(self, text: str) -> Path:
        drug_response_split(
            **self.inputs(), samples=self.table("model"), settings=text, seed=42,
            output=self.table("split"),
        )  # fmt: skip
        return self.table("split")

    def folds(self, protocol: str, regime: str) -> pd.DataFrame:
        table = read_manifest(self.table("split"), "drug_response", protocol).to_pandas()
        return table[table["regime"] == regime]

    def predict(
        self, text: str, protocol: str, *heads: str, model: str = "model", seed: int = 42
    ) -> pd.DataFrame:
        """Run the step; return its predictions as a data frame."""
        drug_response(
            protocol, model, "log_tpm", self.table("split"), **self.inputs(),
            embeddings=self.table(model), settings=text, seed=seed,
            output=self.table("predictions"), head=list(heads) or None,
        )  # fmt: skip
        return pd.read_parquet(self.table("predictions"))

    def scores(self, text: str, protocol: str) -> dict[tuple, object]:
        """Score the last predictions; {(regime, head, metric, aggregation): score} of the whole."""
        kinds = {
            ("planted", regime): kind
            for regime, kind in [
                ("random_pairs", "pair"),
                ("held_out_lines", "patient"),
                ("held_out_tissues", "tissue"),
                ("held_out_scaffolds", "scaffold"),
            ]
        }
        scoring = Scoring(protocol, json.loads(text), kinds, Bootstrap(200, 1))
        found = TASK.score(open_predictions(self.table("predictions"), TASK), scoring)
        return {
            (each.regime, each.head, each.metric, each.aggregation): each
            for each in found
            if each.group is None and each.repeat is None and each.condition == "ln_ic50"
        }


def plant(
    world: ResponseWorld, n_lines: int = 64, seed: int = 3, slope: float = SLOPE
) -> np.ndarray:
    """Write lines whose vectors show what drugs act by; return those activities [n, LATENT].

    Every fourth line is a sister of the one before it, of the same patient; there are 8 lineages.
    Drugs of one tail act by one activity, whatever their ring; the first was screened twice.
    """
    rng = np.random.default_rng(seed)
    names = [f"ACH-{n:06d}" for n in range(n_lines)]
    activity = rng.normal(size=(n_lines, LATENT))
    vectors = activity @ rng.normal(size=(LATENT, WIDTH)) + rng.normal(0, 0.3, (n_lines, WIDTH))
    lines = [
        {
            "cell_line_id": name,
            "patient_id": f"PT-{n - (n % 4 == 3):03d}",
            "lineage": f"lineage {(n // 4) % 8}",
        }
        for n, name in enumerate(names)
    ]
    drugs, response = [], []
    for number, (ring, tail) in enumerate((ring, tail) for ring in RINGS for tail in TAILS):
        drug = f"X:{number:02d}"
        smiles = ring + tail
        drugs.append({"drug_id": drug, "name": f"drug {number}", "source_ids": [drug]})
        drugs[-1] |= {"smiles": smiles, "scaffold": scaffold(smiles)}
        level = rng.normal(2, 2)
        for version in ["one", "two"] if number == 0 else ["one"]:
            noise = rng.normal(0, NOISE, n_lines)
            values = level + slope * activity[:, TAILS.index(tail)] + noise
            response += [
                {"dataset": version, "screen_id": f"{version}:{number:02d}", "drug_id": drug}
                | {"cell_line_id": name, "ln_ic50": float(value)}
                for name, value in zip(names, values, strict=True)
            ]
    world.write(response, drugs, lines)
    world.embed(names, vectors)
    return activity
