"""Seeds of fits stay what they are from run to run, and differ between fits."""

import itertools

from bulkformer.evaluate.seeds import fold_seed


def test_a_seed_is_the_same_number_in_every_run():
    assert fold_seed(42, "ridge_cox", 0, 3) == 1_130_951_865


def test_every_fit_has_a_seed_of_its_own():
    fits = list(itertools.product([42, 43], ["ridge_cox", "clinical"], range(3), range(10)))
    seeds = {fold_seed(*fit) for fit in fits}
    assert len(seeds) == len(fits)
    assert all(0 <= seed < 2**32 for seed in seeds)
    assert fold_seed(1, 23) != fold_seed(12, 3)
