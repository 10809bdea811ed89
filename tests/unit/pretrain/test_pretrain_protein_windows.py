"""What a protein language model reads at once."""

import numpy as np

from bulkformer.pretrain.protein_windows import WINDOW, plan_reading, windows_of
from bulkformer.simulate.proteins import draw_protein


def test_windows_follow_one_another_and_batches_stay_within_their_bound():
    sequence = draw_protein(np.random.default_rng(1), 2 * WINDOW + 7)
    windows = windows_of(sequence, "all")
    assert "".join(windows) == sequence
    assert [len(window) for window in windows] == [WINDOW, WINDOW, 7]
    assert windows_of(sequence[:WINDOW], "all") == [sequence[:WINDOW]]
    assert windows_of(sequence, "first") == windows[:1]
    plan = plan_reading([*windows, *("A" * length for length in range(1, 90))], 1100)
    assert [start for start, _ in plan.batches[1:]] == [stop for _, stop in plan.batches[:-1]]
    assert plan.batches[-1][1] == len(plan.windows) == 92
    for start, stop in plan.batches:
        assert (stop - start) * (len(plan.windows[start]) + 2) <= 1100
