"""Which values are hidden: measured ones only, the same ones for the same seed."""

import torch

from bulkformer.pretrain.masking import MASKED, draw_mask, hide, seeded


def values_with_absent_genes():
    values = torch.rand(4, 40, generator=seeded(7))
    values[:, :5] = 0.0  # measured zeros
    values[:2, 30:] = torch.nan  # not measured by the cohort of the first two samples
    return values


def test_only_measured_genes_are_hidden_and_as_many_as_asked():
    values = values_with_absent_genes()
    mask = draw_mask(~values.isnan(), 0.5, seeded(1))
    assert not mask[values.isnan()].any()
    assert mask.sum(1).tolist() == [15, 15, 20, 20]


def test_measured_zeros_are_hidden_like_any_other_value():
    values = values_with_absent_genes()
    masks = [draw_mask(~values.isnan(), 0.15, seeded(number)) for number in range(30)]
    assert torch.stack(masks)[:, :, :5].any()


def test_at_least_one_gene_is_hidden_in_every_sample():
    mask = draw_mask(torch.ones(3, 10, dtype=torch.bool), 0.01, seeded(1))
    assert mask.sum(1).tolist() == [1, 1, 1]


def test_a_mask_depends_on_its_place_in_the_run_and_on_nothing_else():
    measured = torch.ones(2, 1000, dtype=torch.bool)
    torch.manual_seed(1)
    first = draw_mask(measured, 0.15, seeded(42, 1, 3))
    torch.manual_seed(2)
    assert torch.equal(first, draw_mask(measured, 0.15, seeded(42, 1, 3)))
    assert not torch.equal(first, draw_mask(measured, 0.15, seeded(42, 1, 4)))
    assert not torch.equal(first, draw_mask(measured, 0.15, seeded(42, 3, 1)))


def test_every_gene_is_hidden_equally_often():
    measured = torch.ones(400, 50, dtype=torch.bool)
    share = draw_mask(measured, 0.2, seeded(5)).float().mean(0)
    assert torch.allclose(share, torch.full((50,), 0.2), atol=0.08)


def test_hidden_and_absent_genes_look_alike_to_the_model_but_zeros_do_not():
    values = values_with_absent_genes()
    mask = draw_mask(~values.isnan(), 0.5, seeded(1))
    seen, share = hide(values, mask)
    unseen = mask | values.isnan()
    assert (seen[unseen] == MASKED).all()
    assert torch.equal(seen[~unseen], values[~unseen])
    assert share.tolist() == unseen.float().mean(1).tolist()
