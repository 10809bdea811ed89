"""Cell lines with planted dependencies, written as the stages before this task write theirs.

Genes come in five kinds of ten: needed by all lines, needed as far as the gene itself is expressed,
needed by some lineages, needed by nobody, and needed as far as a hidden state of the line says.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from bulkformer.evaluate.metrics import metrics
from bulkformer.evaluate.task import load_task, open_predictions
from bulkformer.evaluate.tasks.gene_essentiality import gene_essentiality
from bulkformer.evaluate.tasks.gene_essentiality_split import gene_essentiality_split
from bulkformer.outcomes.tables import CELL_LINES, DEPENDENCY

KINDS = ("common", "own", "lineage", "nobody", "state")
GENES_A_KIND = 10
LINEAGES = ("Bone", "Brain", "Liver", "Lung", "Skin", "Soft, Tissue")
SETTINGS = {
    "cohort": "lines",
    "endpoint": "effect",
    "selective_sd": 0.3,
    "components": 8,
    "single_targets": 15,
    "trees": 10,
    "token_genes": None,
    "token_head": {
        "hidden": [16],
        "dropout": 0.0,
        "learning_rate": 0.02,
        "epochs": 12,
        "patience": 3,
        "batch_size": 128,
    },
    "legacy": {"folds": 5},
    "strict": {"folds": 4, "lineage_folds": 3, "repeats": 2},
}


@dataclass
class Lines:
    """Planted lines in a folder. Every tenth line is derived from the one before it."""

    root: Path
    n: int = 120
    settings: dict = field(default_factory=lambda: json.loads(json.dumps(SETTINGS)))

    def __post_init__(self) -> None:
        rng = np.random.default_rng(5)
        self.root.mkdir(parents=True, exist_ok=True)
        self.lines = [f"ACH-{number:06d}" for number in range(self.n)]
        origin = [number - (number % 10 == 9) for number in range(self.n)]
        self.lineage = np.array([LINEAGES[number % len(LINEAGES)] for number in origin])
        self.patient = [f"PT-{number:04d}" for number in origin]
        self.kind = np.repeat(KINDS, GENES_A_KIND)
        t = len(self.kind)
        self.genes = [f"ENSG{gene:011d}" for gene in range(t)]
        state = rng.normal(size=self.n)
        loading = np.where(self.kind == "state", 0.0, rng.normal(0, 0.3, t))
        markers = rng.normal(size=(self.n, 20)) * 0.3 + state[:, None]
        own = rng.normal(size=(self.n, t)) + state[:, None] * loading
        # Genes of the state are constant themselves: other genes, its markers, tell of it.
        own[:, self.kind == "state"] = 1.0
        self.expression = np.concatenate([own, markers], axis=1).astype(np.float32) + 4
        of_lineage = rng.normal(0, 0.6, (len(LINEAGES), t))
        code = np.array([LINEAGES.index(name) for name in self.lineage])
        effects = rng.normal(0, 0.15, (self.n, t))
        effects -= np.where(self.kind == "common", 1.3, 0.0)
        effects += np.where(self.kind == "own", -0.5 * own, 0.0)
        effects += np.where(self.kind == "state", -0.5 * state[:, None], 0.0)
        effects += np.where(self.kind == "lineage", of_lineage[code], 0.0)
        effects[rng.random(effects.shape) < 0.01] = np.nan
        self.effects = effects.astype(np.float32)
        self.write_lines()
        self.write_dependency(self.effects)
        self.write_vectors("log_tpm", self.expression)
        names = [*self.genes, *(f"ENSG9{marker:010d}" for marker in range(20))]
        pq.write_table(pa.table({"gene_id": names}), self.root / "genes.parquet")

    def write_lines(self) -> None:
        parents = [self.lines[number - 1] if number % 10 == 9 else None for number in range(self.n)]
        rows = [
            dict.fromkeys(CELL_LINES.names)
            | {"cell_line_id": line, "patient_id": patient, "parent": parent, "lineage": lineage}
            for line, patient, parent, lineage in zip(
                self.lines, self.patient, parents, self.lineage.tolist(), strict=True
            )
        ]
        pq.write_table(
            pa.Table.from_pylist(rows, schema=CELL_LINES), self.root / "cell_lines.parquet"
        )
        samples = pd.DataFrame({"sample_id": [f"S-{line}" for line in self.lines]})
        samples["cell_line_id"] = self.lines
        samples["kept"] = True
        samples.to_parquet(self.root / "samples.parquet")

    def write_dependency(self, effects: np.ndarray, calls_only: bool = False) -> None:
        line, gene = np.nonzero(~np.isnan(effects))
        values = effects[line, gene].astype(np.float32)
        chance = (values < -0.5).astype(np.float32)
        table = pa.table(
            {
                "gene_id": np.array(self.genes)[gene],
                "cell_line_id": np.array(self.lines)[line],
                "effect": pa.nulls(len(line), pa.float32()) if calls_only else values,
                "probability": chance,
                "release": ["planted"] * len(line),
            }
        ).cast(DEPENDENCY)
        pq.write_table(table, self.root / "dependency.parquet")

    def write_vectors(self, model: str, vectors: np.ndarray) -> None:
        flat = pa.array(np.ascontiguousarray(vectors, dtype=np.float32).ravel())
        column = pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
        table = pa.table({"sample_id": [f"S-{line}" for line in self.lines], "embedding": column})
        pq.write_table(table, self.root / f"{model}.parquet")

    @property
    def split(self) -> Path:
        path = self.root / "split.parquet"
        if not path.exists():
            gene_essentiality_split(
                samples=self.root / "samples.parquet",
                cell_lines=self.root / "cell_lines.parquet",
                dependency=self.root / "dependency.parquet",
                settings=json.dumps(self.settings),
                seed=42,
                output=path,
                tokens=self.root / "tokens.json",
            )
        return path

    def predict(
        self,
        head: str | None,
        protocol: str = "strict",
        tokens: Path | None = None,
        tag: str = "",
        embedder: str = "log_tpm",
    ) -> Path:
        """Predict from the expression itself and return the file."""
        path = self.root / f"{head}_{protocol}{tag}.parquet"
        gene_essentiality(
            protocol=protocol,
            model=head or "model",
            embedder=embedder,
            split=self.split,
            samples=self.root / "samples.parquet",
            cell_lines=self.root / "cell_lines.parquet",
            dependency=self.root / "dependency.parquet",
            genes=self.root / "genes.parquet",
            embeddings=self.root / "log_tpm.parquet",
            settings=json.dumps(self.settings),
            seed=42,
            output=path,
            tokens=tokens,
            head=[head] if head else None,
        )
        return path

    def score(self, predictions: Path, protocol: str = "strict", bootstrap: int = 100):
        """Return the metrics table of saved predictions as a data frame."""
        output, ledger = predictions.with_suffix(".metrics"), self.root / "exposure.parquet"
        if not ledger.exists():
            write_ledger(ledger, self.root)
        row = {"model": "any", "embedder": "any", "settings": "{}"}
        metrics(
            task="gene_essentiality",
            protocol=protocol,
            model="any",
            predictions=predictions,
            split=self.split,
            exposure=ledger,
            configuration=json.dumps({"task": self.settings, "model": row, "pretrain": None}),
            bootstrap=bootstrap,
            seed=42,
            output=output,
            units=predictions.with_suffix(".units"),
        )
        return pq.read_table(output).to_pandas()


def write_ledger(path: Path, root: Path) -> None:
    """Write exposure.parquet of a corpus that holds none of the lines."""
    from bulkformer.evaluate.exposure import exposure

    foreign = {key: ["other"] for key in ("cohort", "sample_id", "group", "study_id")}
    corpus, graph, samples = root / "corpus.parquet", root / "string.json", root / "known.parquet"
    pd.DataFrame(foreign | {"split": ["train"]}).to_parquet(corpus)
    graph.write_text(json.dumps({"origin": "external"}))
    table = pd.read_parquet(root / "samples.parquet")
    table.assign(study_id="lines", patient_id=None, donor_id=None).to_parquet(samples)
    exposure(corpus, ["lines"], [samples], '{"any": "none"}', path, graph)


def value(table: pd.DataFrame, metric: str, aggregation: str = "mean_over_groups", **of):
    """Return the one row of a metric; by default of the regime held_out_lines and of all genes."""
    of = {"regime": "held_out_lines", "group": None} | of
    rows = table[(table["metric"] == metric) & (table["aggregation"] == aggregation)]
    for name, wanted in of.items():
        rows = rows[rows[name].isna() if wanted is None else rows[name] == wanted]
    assert len(rows) == 1, (metric, aggregation, of, len(rows))
    return rows.iloc[0]


def read_predictions(path: Path) -> pd.DataFrame:
    """Return predictions as plain columns, checked to be those of the task."""
    file = open_predictions(path, load_task("gene_essentiality"))
    frame = file.read().to_pandas()
    return frame.astype(dict.fromkeys(("sample_id", "target_id", "regime", "group"), str))
