"""Binary dependencies of real lines from 706 genes of expression: what holds up and what does not.

The expression was standardised over all lines upstream, so nothing here is free of leaks: it tests
the path and the floors, and judges no model.
"""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from essentiality_world import SETTINGS, Lines, value

from bulkformer.evaluate import measures
from bulkformer.evaluate.tasks.gene_essentiality_heads import (
    HeadSettings,
    TrainingLines,
    gene_effect_mean,
)
from bulkformer.evaluate.tasks.gene_essentiality_heads import (
    Lines as Described,
)
from bulkformer.evaluate.tasks.gene_essentiality_split import lines_of
from bulkformer.outcomes.cell_lines import cell_lines
from bulkformer.outcomes.tables import DEPENDENCY

pytestmark = pytest.mark.real_data
CALLS = "essentiality/ceres_binary_16827x786.parquet"
SOME_GENES = 1500


class RealLines(Lines):
    """The lines that have expression and calls of dependency, laid out as the planted ones."""

    def __init__(self, root, development_data, at_most=None):
        self.root, self.development_data, self.at_most = root, development_data, at_most
        self.settings = {
            "cohort": "lines",
            "endpoint": "probability",
            "selective_sd": 0.3,
            "components": 50,
            "single_targets": 20,
            "trees": 30,
            "token_genes": None,
            "token_head": SETTINGS["token_head"],
            "legacy": {"folds": 10},
            "strict": {"folds": 5, "lineage_folds": 5, "repeats": 1},
        }
        self.__post_init__()

    def __post_init__(self):
        table = pd.read_csv(self.development_data / "essentiality/line_map.tsv", sep="\t")
        table = table[table["has_expr_706"].astype(bool)].sort_values("depmap_id")
        self.lines = table["depmap_id"].tolist()
        expression = pd.read_parquet(
            self.development_data / "drug_response/ccle_580x706_expr_zscore.parquet"
        ).loc[self.lines]
        calls = pd.read_parquet(self.development_data / CALLS)[table["column"]]
        calls = calls[~calls.index.duplicated()]
        known = calls.index.isin(expression.columns)
        if self.at_most:
            others = np.random.default_rng(0).permutation(np.flatnonzero(~known))
            calls = calls.iloc[np.sort([*np.flatnonzero(known), *others[: self.at_most]])]
        self.genes = calls.index.tolist()
        # Genes that were not measured are 0, as in every vector of expression.
        vectors = np.zeros((len(self.lines), len(self.genes)), dtype=np.float32)
        column = {gene: place for place, gene in enumerate(self.genes)}
        both = [gene for gene in expression.columns if gene in column]
        vectors[:, [column[gene] for gene in both]] = expression[both].to_numpy()
        self.measured = both
        self.root.mkdir(parents=True, exist_ok=True)
        cell_lines(
            passports=self.development_data / "essentiality/cell_models.csv.gz",
            output=self.root / "cell_lines.parquet",
            summary=self.root / "cell_lines.json",
        )
        samples = pd.DataFrame({"sample_id": [f"S-{line}" for line in self.lines]})
        samples.assign(cell_line_id=self.lines, kept=True).to_parquet(self.root / "samples.parquet")
        self.effects = calls.to_numpy().T.astype(np.float32)
        self.write_calls()
        self.write_vectors("log_tpm", vectors)
        pq.write_table(pa.table({"gene_id": self.genes}), self.root / "genes.parquet")

    def write_calls(self):
        n, t = self.effects.shape
        columns = {
            "gene_id": pa.DictionaryArray.from_arrays(np.tile(np.arange(t), n), self.genes),
            "cell_line_id": pa.DictionaryArray.from_arrays(np.repeat(np.arange(n), t), self.lines),
            "effect": pa.nulls(n * t, pa.float32()),
            "probability": self.effects.ravel(),
            "release": pa.DictionaryArray.from_arrays(np.zeros(n * t, np.int32), ["real"]),
        }
        table = pa.table(columns).cast(DEPENDENCY)
        pq.write_table(table, self.root / "dependency.parquet", row_group_size=1_000_000)


@pytest.fixture(scope="module")
def world(tmp_path_factory, development_data):
    return RealLines(tmp_path_factory.mktemp("real"), development_data, SOME_GENES)


def test_the_gene_mean_of_all_lines_pools_to_what_was_published(development_data):
    """0.845 over 16,827 genes by 786 lines: the means of genes alone, nothing of a line."""
    calls = pd.read_parquet(development_data / CALLS).to_numpy().T.astype(np.float32)
    fold = np.random.default_rng(0).permutation(len(calls)) % 10
    told = np.empty_like(calls)
    for held in range(10):
        rows = fold != held
        lines = Described(np.zeros((rows.sum(), 1)), np.full(rows.sum(), "any"))
        training = TrainingLines(lines, calls[rows], np.arange(rows.sum()))
        ahead = Described(np.zeros(((~rows).sum(), 1)), np.full((~rows).sum(), "any"))
        told[~rows] = gene_effect_mean(training, HeadSettings(1), 0).predict(ahead)
    everyone = np.zeros(calls.size, dtype=np.int64)
    pooled = measures.pearson(measures.moments(calls.ravel(), told.ravel(), everyone, 1))
    assert pooled[0] == pytest.approx(0.845, abs=0.003)


def test_lines_of_one_patient_are_one_group(world, development_data, tmp_path):
    """Of the 786 lines with calls 40 share a patient; none of the 380 with expression do."""
    split = pq.read_table(world.split).to_pandas()
    lines = split[split["regime"] == "held_out_lines"]
    assert len(lines) == lines["group"].nunique() == len(world.lines) == 380
    table = pd.read_csv(development_data / "essentiality/line_map.tsv", sep="\t")
    samples = pd.DataFrame({"sample_id": table["column"], "cell_line_id": table["column"]})
    samples.assign(kept=True).to_parquet(tmp_path / "samples.parquet")
    known = pd.read_parquet(world.root / "cell_lines.parquet")["cell_line_id"]
    units = lines_of(
        tmp_path / "samples.parquet", world.root / "cell_lines.parquet", set(known), "all"
    )
    size = pd.Series(units.group).value_counts()
    assert size[size > 1].sum() == 40


def test_ridge_tells_lines_apart_and_the_gene_mean_does_not(world):
    heads = ("ridge", "gene_effect_mean", "own_expression")
    tables = {head: world.score(world.predict(head)) for head in heads}
    mean, ridge = tables["gene_effect_mean"], tables["ridge"]
    assert value(mean, "per_gene_pearson")["value"] == 0
    assert value(mean, "dependency_auroc")["value"] == 0.5
    row = value(ridge, "per_gene_pearson", group="selective")
    assert row["ci_low"] > 0.02
    assert value(ridge, "dependency_auroc")["ci_low"] > 0.5
    assert value(ridge, "per_gene_pearson_over_genes")["ci_low"] > 0
    # A gene's own expression, known of one gene in three, tells its need of a few.
    own = {
        metric: value(tables["own_expression"], metric)
        for metric in ("per_gene_pearson", "dependency_auroc")
    }
    assert 0 < own["per_gene_pearson"]["value"] < value(ridge, "per_gene_pearson")["value"]
    assert own["dependency_auroc"]["value"] > 0.5
    for head, table in tables.items():
        for metric in ("per_gene_pearson", "dependency_auroc"):
            row = value(table, metric)
            print(f"{head} {metric} {row['value']:.3f} [{row['ci_low']:.3f}, {row['ci_high']:.3f}]")
    # The pooled correlation hardly knows the difference.
    pooled = [value(table, "pearson", "pooled")["value"] for table in (mean, ridge)]
    assert abs(pooled[1] - pooled[0]) < 0.02
    dropped = value(mean, "genes_without_correlation", "pooled")["value"]
    constant = (world.effects.min(axis=0) == world.effects.max(axis=0)).sum()
    assert dropped == constant
