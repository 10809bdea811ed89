"""Under every mask: the gene mean knows nothing, and nobody sees what was hidden or unmeasured."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from evaluate_world import World, configuration, split_imputation

from bulkformer.embed.registry import fit
from bulkformer.embed.training import read_training_data
from bulkformer.evaluate.metrics import metrics
from bulkformer.evaluate.tasks.imputation import imputation
from bulkformer.evaluate.tasks.imputation_masks import KINDS, PANEL
from bulkformer.expression.store import ExpressionStore, create_store

COHORTS = ["corpus", "external"]
FRACTIONS = [0.05, 0.15, 0.3, 0.5, 0.7, 0.9]
N_CONDITIONS = 3 * len(FRACTIONS) + 1
STRICT = ["per_gene_pearson_deviation", "centred_per_sample_pearson", "mse_skill"]
LEARN_NOTHING = ("visible_mean",)


def predict(world: World, model: str, name: str = "", **options) -> Path:
    path = world.root / f"{model}{name}.parquet"
    weights = world.root / f"{model}.safetensors"
    imputation(
        options.pop("protocol", "strict"), model, model, "{}", world.root / "split.parquet",
        world.genes, COHORTS, [world.samples(cohort) for cohort in COHORTS],
        [world.store(cohort) for cohort in COHORTS], world.reference,
        options.pop("fractions", FRACTIONS), 1, 42, 16, path,
        **{"weights": None if model in LEARN_NOTHING else weights}
        | {"mask_kinds": list(KINDS), "panel_genes": 12}
        | options,
    )  # fmt: skip
    return path


def score(world: World, model: str, predictions: Path) -> Path:
    path = predictions.with_suffix(".metrics")
    ledger = world.ledger(COHORTS, json.dumps({model: "none"}))
    metrics(
        "imputation", "strict", model, predictions, world.root / "split.parquet", ledger,
        configuration("{}"), 20, 42, path, path.with_suffix(".units"),
    )  # fmt: skip
    return path


def rewrite(world: World, cohort: str, change: Callable[[np.ndarray, np.ndarray], None]) -> None:
    """Let `change` alter the values [n, G] of a cohort, given what it measured, bool [G]."""
    store = ExpressionStore(world.store(cohort))
    names, values, measured = store.sample_ids, store.read().copy(), store.measured
    change(values, measured)
    with create_store(world.store(cohort), measured, "log_tpm") as writer:
        writer.write(names, values)


@pytest.fixture
def masked(imputation_world: World) -> World:
    split_imputation(imputation_world)
    return imputation_world


def test_the_gene_mean_is_exactly_nothing_under_every_mask(masked: World) -> None:
    path = score(masked, "gene_mean", predict(masked, "gene_mean"))
    table = pd.read_parquet(path)
    assert table["condition"].nunique() == N_CONDITIONS
    rows = table[table["metric"].isin(STRICT)]
    found = rows.groupby(["dataset", "condition", "metric"]).size()
    assert len(found) == 2 * N_CONDITIONS * len(STRICT)
    # Where 5 % of values are hidden, some deciles hold no gene with five of them.
    values = rows.dropna(subset="value")
    assert (values["value"] == 0).all()
    assert (values[["ci_low", "ci_high"]].dropna() == 0).all(axis=None)
    assert len(values) > 0.8 * len(rows)
    units = pd.read_parquet(path.with_suffix(".units"))
    assert (units["value"] == 0).all()
    assert units["condition"].nunique() == N_CONDITIONS


@pytest.mark.parametrize("model", ["gene_mean", "visible_mean", "visible_training_mean"])
def test_what_stands_at_unmeasured_genes_changes_no_byte(masked: World, model: str) -> None:
    if model == "visible_training_mean":
        fitted(masked, model)
    ends = [FRACTIONS[0], FRACTIONS[-1]]
    first = predict(masked, model, fractions=ends)
    before = score(masked, model, first)

    def corrupt(values: np.ndarray, measured: np.ndarray) -> None:
        assert not measured.all()
        values[:, ~measured] = 1e6

    rewrite(masked, "external", corrupt)
    second = predict(masked, model, "_corrupt", fractions=ends)
    after = score(masked, model, second)
    assert second.read_bytes() == first.read_bytes()
    assert after.read_bytes() == before.read_bytes()
    assert after.with_suffix(".units").read_bytes() == before.with_suffix(".units").read_bytes()


def fitted(world: World, model: str) -> None:
    paths = [world.samples("corpus")], [world.store("corpus")]
    fit(
        model,
        "{}",
        read_training_data(world.corpus, *paths),
        0,
        world.root / f"{model}.safetensors",
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "model", ["visible_mean", "visible_training_mean", "summary_scalars", "tissue_mean"]
)
def test_a_control_gains_nothing_from_values_that_are_hidden(
    masked: World, model: str, kind: str
) -> None:
    if model not in LEARN_NOTHING:
        fitted(masked, model)
    options = {"mask_kinds": [kind], "fractions": [0.3]}
    before = pd.read_parquet(predict(masked, model, **options))
    gene = {name: at for at, name in enumerate(masked.gene_ids)}
    for cohort, dataset in (("corpus", "corpus"), ("external", "external")):
        hidden = before[before["dataset"] == dataset]
        at = {
            name: place
            for place, name in enumerate(ExpressionStore(masked.store(cohort)).sample_ids)
        }
        rows = hidden["sample_id"].map(at).to_numpy(dtype=int)
        columns = hidden["target_id"].map(gene).to_numpy(dtype=int)

        def corrupt(values: np.ndarray, measured: np.ndarray, rows=rows, columns=columns) -> None:
            values[rows, columns] = 9 - values[rows, columns] / 3

        rewrite(masked, cohort, corrupt)
    after = pd.read_parquet(predict(masked, model, "_corrupt", **options))
    assert not np.allclose(before["y_true"], after["y_true"])
    keys = ["sample_id", "target_id", "y_pred", "y_reference"]
    pd.testing.assert_frame_equal(before[keys], after[keys])
    assert (kind == PANEL) == (before["condition"].iloc[0] == "panel 12 genes")
