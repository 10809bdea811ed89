"""Which values are hidden: measured ones only, the same ones for the same place in the run."""

import numpy as np
import torch

from bulkformer.pretrain.masking import (
    MASKED,
    TRAINING_MASKS,
    VALIDATION_MASKS,
    draw_mask,
    fractions_to_hide,
    hidden_counts,
    hide,
    seeded,
)


def values_with_absent_genes():
    values = torch.rand(4, 40, generator=seeded(7))
    values[:, :5] = 0.0  # measured zeros
    values[:2, 30:] = torch.nan  # not measured by the cohort of the first two samples
    return values


def mask_of(measured, fraction, *place):
    """The mask of samples that are number 0, 1, … of their step."""
    counts = hidden_counts(measured.sum(1).numpy(), fraction)
    return draw_mask(measured, counts, [seeded(*place, row) for row in range(len(measured))])


def test_only_measured_genes_are_hidden_and_as_many_as_asked():
    values = values_with_absent_genes()
    mask = mask_of(~values.isnan(), 0.5, 1)
    assert not mask[values.isnan()].any()
    assert mask.sum(1).tolist() == [15, 15, 20, 20]


def test_each_sample_hides_its_own_share():
    measured = torch.ones(3, 100, dtype=torch.bool)
    assert mask_of(measured, np.array([0.05, 0.1, 0.9]), 1).sum(1).tolist() == [5, 10, 90]


def test_measured_zeros_are_hidden_like_any_other_value():
    values = values_with_absent_genes()
    masks = [mask_of(~values.isnan(), 0.15, number) for number in range(30)]
    assert torch.stack(masks)[:, :, :5].any()


def test_at_least_one_gene_is_hidden_where_one_was_measured():
    measured = torch.ones(3, 10, dtype=torch.bool)
    measured[2] = False
    assert mask_of(measured, 0.01, 1).sum(1).tolist() == [1, 1, 0]


def test_the_number_of_hidden_values_is_known_without_the_values():
    values = values_with_absent_genes()
    measured = ~values.isnan()
    counts = hidden_counts(np.array([30, 30, 40, 40]), np.array([0.1, 0.33, 0.5, 0.99]))
    assert counts.tolist() == [3, 10, 20, 40]
    mask = draw_mask(measured, counts, [seeded(1, row) for row in range(4)])
    assert mask.sum(1).tolist() == counts.tolist()


def test_a_mask_depends_on_its_place_in_the_run_and_on_nothing_else():
    measured = torch.ones(2, 1000, dtype=torch.bool)
    torch.manual_seed(1)
    first = mask_of(measured, 0.15, 42, TRAINING_MASKS, 3)
    torch.manual_seed(2)
    assert torch.equal(first, mask_of(measured, 0.15, 42, TRAINING_MASKS, 3))
    assert not torch.equal(first, mask_of(measured, 0.15, 42, TRAINING_MASKS, 4))
    assert not torch.equal(first, mask_of(measured, 0.15, 42, VALIDATION_MASKS, 3))
    assert not torch.equal(first[0], first[1])


def test_a_sample_has_the_same_mask_whoever_it_shares_a_forward_pass_with():
    values = values_with_absent_genes()
    measured = ~values.isnan()
    counts = hidden_counts(measured.sum(1).numpy(), 0.15)
    together = mask_of(measured, 0.15, 5)
    alone = [draw_mask(measured[[row]], counts[[row]], [seeded(5, row)]) for row in range(4)]
    assert torch.equal(together, torch.cat(alone))


def test_masks_of_a_sample_at_growing_shares_are_nested():
    measured = torch.ones(3, 200, dtype=torch.bool)
    few, many = mask_of(measured, 0.15, 5), mask_of(measured, 0.5, 5)
    assert not (few & ~many).any()


def test_every_gene_is_hidden_equally_often():
    measured = torch.ones(400, 50, dtype=torch.bool)
    share = mask_of(measured, 0.2, 5).float().mean(0)
    assert torch.allclose(share, torch.full((50,), 0.2), atol=0.08)


def test_shares_are_fixed_or_drawn_evenly_from_their_range():
    assert fractions_to_hide((0.15, 0.15), 1, 0, 5).tolist() == [0.15] * 5
    drawn = np.concatenate([fractions_to_hide((0.05, 0.15), 1, step, 128) for step in range(20)])
    assert drawn.min() >= 0.05
    assert drawn.max() <= 0.15
    histogram, _ = np.histogram(drawn, bins=5, range=(0.05, 0.15))
    assert (abs(histogram / len(drawn) - 0.2) < 0.03).all()
    again = fractions_to_hide((0.05, 0.15), 1, 7, 128)
    assert np.array_equal(again, fractions_to_hide((0.05, 0.15), 1, 7, 128))
    assert not np.array_equal(again, fractions_to_hide((0.05, 0.15), 1, 8, 128))


def test_hidden_and_absent_genes_look_alike_to_the_model_but_zeros_do_not():
    values = values_with_absent_genes()
    mask = mask_of(~values.isnan(), 0.5, 1)
    seen, share = hide(values, mask)
    unseen = mask | values.isnan()
    assert (seen[unseen] == MASKED).all()
    assert torch.equal(seen[~unseen], values[~unseen])
    assert share.tolist() == unseen.float().mean(1).tolist()
