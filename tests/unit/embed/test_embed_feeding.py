"""Gene alignment and pooling, against numpy."""

import numpy as np
import pytest
import torch

from bulkformer.embed.feeding import align, pool, to_model_genes, to_vocabulary

NUMPY_POOLING = {
    "max": lambda tokens, measured: tokens.max(axis=1),
    "mean": lambda tokens, measured: tokens.mean(axis=1),
    "mean_measured": lambda tokens, measured: tokens[:, measured].mean(axis=1),
    "median": lambda tokens, measured: np.median(tokens, axis=1),
    "all": lambda tokens, measured: (
        tokens.max(axis=1) + tokens.mean(axis=1) + np.median(tokens, axis=1)
    ),
}


@pytest.mark.parametrize("n_genes", [10, 11])
@pytest.mark.parametrize("pooling", NUMPY_POOLING)
def test_pooling_equals_a_numpy_recomputation(pooling, n_genes):
    generator = np.random.default_rng(0)
    tokens = generator.normal(size=(3, n_genes, 4)).astype(np.float32)
    measured = np.arange(n_genes) % 3 > 0
    result = pool(torch.from_numpy(tokens), torch.from_numpy(measured), pooling).numpy()
    np.testing.assert_allclose(result, NUMPY_POOLING[pooling](tokens, measured), atol=1e-6)


def test_genes_are_matched_by_identifier():
    columns = align(["C", "A", "X"], ["A", "B", "C"])
    values = np.array([[1, 2, 3]], dtype=np.float32)
    fed = to_model_genes(values, columns)
    np.testing.assert_array_equal(fed, [[3, 1, np.nan]])
    back = to_vocabulary(np.array([[30, 10, 99]], dtype=np.float32), columns, 3)
    np.testing.assert_array_equal(back, [[10, np.nan, 30]])
