"""A small world of tissues, studies and specimens, in which copies and mere likeness are planted.

Counts are negative binomial around the specimen: what two libraries of one culture share and what
two pipelines do to one library have the sizes that real data show.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from bulkformer.expression.background import background
from bulkformer.expression.duplicates import duplicates
from bulkformer.expression.sketch import sketch
from bulkformer.expression.store import create_store

N_GENES = 1500
TISSUES, STUDIES = 6, 20
READS = 10_000_000


@dataclass
class Copies:
    """Cohorts that are written with `cohort` and scanned with `scan`."""

    root: Path
    seed: int = 0
    cohorts: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        mean = self.rng.normal(0, 1.7, N_GENES)
        self.length = np.exp(self.rng.normal(8, 0.6, N_GENES))
        self.tissue = mean + self.rng.normal(0, 0.8, (TISSUES, N_GENES))
        self.study = self.rng.normal(0, 0.25, (STUDIES, N_GENES))
        self.own = np.exp(self.rng.normal(-1.2, 0.5, N_GENES))  # how much specimens differ

    def specimens(self, n: int) -> np.ndarray:
        """Return natural-log abundances [n, N_GENES] of `n` specimens, study after study."""
        numbers = np.arange(n) * STUDIES // n
        own = self.rng.normal(size=(n, N_GENES)) * self.own
        return self.tissue[numbers % TISSUES] + self.study[numbers] + own

    def library(self, abundance: np.ndarray, dispersion: float = 0.0) -> np.ndarray:
        """Return counts [n, N_GENES] of one library of each specimen.

        Libraries of one specimen differ by chance and, beyond it, by `dispersion`: 0.02 and more
        where the same cells were grown or cut twice.
        """
        fragments = np.exp(abundance) * self.length
        expected = fragments / fragments.sum(axis=1, keepdims=True) * READS
        if dispersion:
            expected = expected * self.rng.gamma(1 / dispersion, dispersion, expected.shape)
        return self.rng.poisson(expected).astype(float)

    def log_tpm(self, counts: np.ndarray, measured: np.ndarray | None = None) -> np.ndarray:
        """Return ln(TPM + 1) over the `measured` genes, NaN for the others."""
        known = np.ones(counts.shape[1], bool) if measured is None else measured
        rate = np.where(known, counts / self.length, 0)
        tpm = rate / rate.sum(axis=1, keepdims=True) * 1e6
        return np.where(known, np.log1p(tpm), np.nan).astype(np.float32)

    def cohort(
        self,
        cohort: str,
        values: np.ndarray,
        measured: np.ndarray | None = None,
        **columns: list,
    ) -> list[str]:
        """Write samples.parquet and log_tpm.arrow of one cohort; return its sample ids."""
        table = pd.DataFrame(
            {"sample_id": [f"{cohort}{n:04d}" for n in range(len(values))], "kept": True}
            | {"cohort": cohort, "study_id": [f"{cohort} {n}" for n in range(len(values))]}
            | {"patient_id": None, "donor_id": None}
            | columns
        )
        self.path(cohort, "samples.parquet").parent.mkdir(parents=True, exist_ok=True)
        table.to_parquet(self.path(cohort, "samples.parquet"))
        known = np.ones(values.shape[1], bool) if measured is None else measured
        with create_store(self.path(cohort, "log_tpm.arrow"), known, "log_tpm") as writer:
            writer.write(table["sample_id"].tolist(), values)
        self.cohorts.append(cohort)
        return table["sample_id"].tolist()

    def path(self, cohort: str, file: str) -> Path:
        return self.root / cohort / file

    def paths(self, file: str, cohorts: list[str] | None = None) -> list[Path]:
        return [self.path(cohort, file) for cohort in cohorts or self.cohorts]

    @property
    def background(self) -> Path:
        return self.root / "background.parquet"

    @property
    def found(self) -> Path:
        return self.root / "duplicates.parquet"

    def sketches(self, corpus: list[str] | None = None, seed: int = 42) -> None:
        """Fit the background to the `corpus` (all cohorts) and sketch every cohort."""
        background(self.paths("log_tpm.arrow", corpus), self.background)
        for cohort in self.cohorts:
            store, output = (self.path(cohort, x) for x in ("log_tpm.arrow", "sketch.parquet"))
            sketch(store, self.background, seed, output)

    def scan(self, corpus: list[str] | None = None) -> pd.DataFrame:
        """Return duplicates.parquet of the `corpus` (all cohorts) at the default thresholds."""
        corpus = corpus or self.cohorts
        self.sketches(corpus)
        files = [
            self.paths(x, corpus) for x in ("samples.parquet", "sketch.parquet", "log_tpm.arrow")
        ]
        duplicates(*files, corpus, self.background, 0.98, 0.7, self.found)
        return pd.read_parquet(self.found)


def pairs_of(found: pd.DataFrame) -> set[tuple[str, str]]:
    return set(zip(found["sample_id"], found["other_sample_id"], strict=True))
