"""Where there is nothing to know, heads of drug response score 0, however folds are made.

Response is the level of a drug and noise. Three worlds of 12 drugs are scored together, because one
of them has luck; the planted signal itself is the business of the other tests.
"""

import numpy as np
import pytest
from response_world import ResponseWorld, plant, settings

from bulkformer.evaluate.response_heads import HEADS

TEXT = settings(legacy={"epochs": 10})
WORLDS = 3
MEAN = "mean_over_groups"
REGIMES = {
    "legacy": ("random_pairs",),
    "strict": ("held_out_lines", "held_out_tissues", "held_out_scaffolds"),
}
# Fits of one drug at a time, and of all pairs, take seconds; what scores them is the same.
CHEAP = [
    *("global_mean", "drug_mean", "line_mean", "drug_line_means", "tissue_mean"),
    *("ridge", "two_step_ridge", "shuffled_lines_ridge", "mlp"),
]


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
    """{(regime, head, metric, aggregation): a value a world}."""
    found = {}
    for seed in range(WORLDS):
        world = ResponseWorld(tmp_path_factory.mktemp(f"noise{seed}"))
        plant(world, seed=seed + 20, slope=0.0)
        world.split(TEXT)
        for protocol, regimes in REGIMES.items():
            heads = [name for name in CHEAP if HEADS[name].regimes.intersection(regimes)]
            world.predict(TEXT, protocol, *heads)
            for key, score in world.scores(TEXT, protocol).items():
                found.setdefault(key, []).append(score.estimate)
    return found


@pytest.mark.parametrize("regime", [regime for regimes in REGIMES.values() for regime in regimes])
def test_no_head_tells_lines_apart_where_response_is_noise(noise, regime):
    heads = [name for name in CHEAP if regime in HEADS[name].regimes]
    assert len(heads) > 5
    for head in heads:
        for metric in ("per_drug_pearson", "per_drug_spearman"):
            estimates = noise[regime, head, metric, MEAN]
            value = np.mean([each.value for each in estimates])
            width = np.mean([each.high - each.low for each in estimates]) / np.sqrt(WORLDS)
            # Three standard errors: 20 heads by regime are asked, each of two measures. Where drugs
            # are held out, each pair of them counts twice: one predicts the other, and the reverse.
            limit = 0.77 * width * (np.sqrt(2) if regime == "held_out_scaffolds" else 1)
            assert abs(value) <= limit, (head, metric, value, limit)


def test_what_a_head_does_not_know_of_a_drug_is_no_skill(noise):
    """Sharing the subtracted mean, truth and prediction agree: the two forms that did so."""

    def value(head, metric, aggregation):
        key = "random_pairs", head, metric, aggregation
        return np.mean([each.value for each in noise[key]])

    assert value("drug_mean", "pearson_less_training_means", "pooled") > 0.2
    assert value("drug_mean", "interaction_pearson", "pooled") == 0
    assert value("line_mean", "interaction_pearson", "pooled") == 0
    assert value("drug_mean", "per_drug_pearson_raw", MEAN) < -0.1
    assert value("drug_mean", "per_drug_pearson", MEAN) == 0
