"""Figures of accuracy are what their names say, whatever the batches, and hide every gene."""

import numpy as np
import pandas as pd
import pytest
import torch
from pretrain_world import ABSENT, COHORTS, write_corpus

from bulkformer.pretrain.accuracy import (
    HiddenSums,
    covering_masks,
    decile_table,
    deciles,
    gene_moments,
    gene_scores,
    measure,
    overall,
    skill_interval,
    spread,
)
from bulkformer.pretrain.batches import CorpusSamples
from bulkformer.pretrain.masking import MASKED, seeded


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    folder = write_corpus(tmp_path_factory.mktemp("corpus"))
    stores = [folder / cohort / "log_tpm.arrow" for cohort in COHORTS]
    return CorpusSamples(pd.read_parquet(folder / "corpus.parquet"), stores, "validation")


class Guess(torch.nn.Module):
    """Predicts a constant for each gene, and notes which genes it could not see."""

    def __init__(self, constant):
        super().__init__()
        self.constant = torch.nn.Parameter(torch.as_tensor(constant, dtype=torch.float32))
        self.unseen = []

    def forward(self, x, share):
        self.unseen.append(x == MASKED)
        return self.constant.expand(len(x), -1)


def measured(model, samples, mean, **changes):
    settings = {
        "indices": np.arange(len(samples)), "groups": [f"g{n % 3}" for n in range(len(samples))],
        "fraction": 0.15, "repeats": 1, "seed": 1, "batch_size": 4, "covering": True,
    } | changes  # fmt: skip
    return measure(model, samples, mean=mean, **settings)


def test_covering_masks_hide_every_measured_gene_and_no_other():
    known = torch.ones(2, 50, dtype=torch.bool)
    known[1, 40:] = False
    n_hidden = np.array([8, 6])
    masks = torch.stack(list(covering_masks(known, n_hidden, [seeded(1), seeded(2)])))
    assert torch.equal(masks.any(0), known)
    assert (masks.sum(2) == torch.from_numpy(n_hidden)).all()
    assert len(masks) == 7  # as few as 50 genes by eights allow


def test_sums_give_the_errors_and_correlations_of_the_hidden_values():
    rng = np.random.default_rng(0)
    truth, mask = rng.normal(size=(40, 5)), rng.random((40, 5)) < 0.7
    predicted = 0.5 * truth + rng.normal(size=(40, 5))
    sums = HiddenSums.of(5)
    for part in (slice(0, 13), slice(13, 40)):
        sums.add(truth[part], predicted[part], mask[part], ["g"] * len(truth[part]))
    table = gene_scores(sums)
    for gene in range(5):
        t, p = truth[mask[:, gene], gene], predicted[mask[:, gene], gene]
        assert table["n_values"][gene] == len(t)
        assert table["mse"][gene] == pytest.approx(((t - p) ** 2).mean())
        assert table["gene_mean_mse"][gene] == pytest.approx((t**2).mean())
        assert table["pearson"][gene] == pytest.approx(np.corrcoef(t, p)[0, 1])
    whole = overall(sums, table, seed=1)
    assert whole["mse"] == pytest.approx(((truth - predicted)[mask] ** 2).mean())


def test_the_gene_mean_has_no_skill_and_no_correlation(samples):
    mean, _ = gene_moments(samples)
    model = Guess(mean)
    table = gene_scores(measured(model, samples, mean))
    assert table["mse_skill"].abs().max() < 1e-5
    assert table["pearson"].isna().all()


def test_a_gene_is_judged_only_where_it_was_measured_and_hidden(samples):
    mean, _ = gene_moments(samples)
    table = gene_scores(measured(Guess(mean), samples, mean))
    n_one = sum(sample in {f"s{n}" for n in COHORTS["one"]} for sample in samples.sample_ids)
    assert table["n_values"].drop(ABSENT).min() >= len(samples)
    assert n_one <= table["n_values"][ABSENT] < len(samples)


def test_batches_change_no_mask_and_no_figure(samples):
    mean, _ = gene_moments(samples)
    one, five = (measured(Guess(mean + 1), samples, mean, batch_size=n) for n in (1, 5))
    assert np.array_equal(one.n, five.n)
    assert np.allclose(one.error_2, five.error_2)
    assert one.by_group.keys() == five.by_group.keys()


def test_a_share_is_hidden_once_unless_every_gene_is_asked_for(samples):
    mean, _ = gene_moments(samples)
    model = Guess(mean)
    sums = measured(model, samples, mean, fraction=0.5, covering=False, repeats=2)
    assert sums.n.sum() == 2 * sum(round(0.5 * n) for n in samples.measured_counts)


def test_repeats_hide_other_genes_together(samples):
    mean, _ = gene_moments(samples)
    model = Guess(mean)
    measured(model, samples, mean, indices=np.arange(1), repeats=2)
    first, second = np.array_split(torch.cat(model.unseen).numpy(), 2)
    assert not np.array_equal(first, second)


def test_moments_are_those_of_the_measured_values(samples):
    values = samples.read(np.arange(len(samples))).numpy().astype(np.float64)
    mean, sd = gene_moments(samples, batch_size=5)
    assert np.allclose(mean, np.nanmean(values, axis=0))
    assert np.allclose(sd, np.nanstd(values, axis=0))


def test_the_interval_of_the_skill_comes_from_groups_and_not_from_values():
    alike = np.array([[1.0, 2.0]] * 8)
    unlike = np.array([[0.1, 2.0], [1.9, 2.0]] * 4)
    assert skill_interval(alike, 1) == pytest.approx((0.5, 0.5))
    low, high = skill_interval(unlike, 1)
    assert low < 0.4 < 0.6 < high
    assert np.isnan(skill_interval(alike[:4], 1)).all()


def test_deciles_are_equal_parts_and_leave_out_what_is_not_known():
    value = np.array([np.nan, *range(100)])
    found = deciles(value)
    assert found[0] == 0
    assert np.bincount(found[1:]).tolist() == [0] + [10] * 10
    assert found[1] == 1
    assert found[-1] == 10


def test_a_decile_counts_values_and_not_genes():
    genes = pd.DataFrame(
        {
            "expression_decile": [1, 1, 2, 0],
            "mean": [0.0, 1.0, 2.0, 0.0],
            "n_values": [30, 10, 10, 5],
            "mse": [1.0, 2.0, 4.0, 9.0],
            "gene_mean_mse": [2.0, 2.0, 2.0, 9.0],
            "pearson": [0.1, 0.3, np.nan, 1.0],
        }
    )
    few = decile_table(genes, "expression", "mean")
    assert few["gene_pearson_median"].isna().all()  # two genes have no median to speak of
    genes = genes.loc[np.repeat(genes.index, 5)]
    table = decile_table(genes, "expression", "mean").set_index("decile")
    assert table.index.tolist() == [1, 2]
    assert table["mse"].tolist() == [1.25, 4.0]
    assert table["mse_skill"].tolist() == [0.375, -1.0]
    assert table["gene_pearson_median"][1] == pytest.approx(0.2)


def test_the_spread_counts_every_known_gene_once_and_those_the_wrong_way_round():
    table = pd.DataFrame({"pearson": [0.9, -0.5, np.nan, 1.0], "mse_skill": [0.5, -2, np.nan, 0.9]})
    found = spread(table, 400)
    assert sum(found["genes"]) == found["genes_correlated"] == 3
    assert found["genes_with_skill"] == 2
    assert found["genes_opposed"] == 1
    assert spread(table, 16)["genes_opposed"] == 0  # over few samples chance alone gives -0.5
    assert len(found["left"]) == len(found["genes"])
