"""The objective: what counts, what does not, and that it is the same however a step is divided."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from pretrain_world import TRAINING

from bulkformer.errors import InputError
from bulkformer.model.bulkformer import BulkFormerConfig, initialise
from bulkformer.model.graph_convolution import Graph
from bulkformer.pretrain.batches import prefetched
from bulkformer.pretrain.distributed import World
from bulkformer.pretrain.masking import TRAINING_MASKS, draw_mask, hide, seeded
from bulkformer.pretrain.objective import (
    MaskedSamples,
    Step,
    accumulate_gradient,
    check_gradient,
    check_loss,
    planned_step,
    precision_of,
    squared_errors,
)
from bulkformer.pretrain.progress import Progress
from bulkformer.pretrain.settings import Training, Validation
from bulkformer.pretrain.validation import gene_mean_errors, hidden_losses, looked_at

GENES, SAMPLES, SEED = 30, 19, 5
HERE = World(0, 1, torch.device("cpu"))
SETTINGS = Training(**TRAINING | {"effective_batch_size": 8, "mask_fraction": (0.1, 0.4)})


class Samples:
    """Samples in memory; the second half did not measure the first ten genes."""

    def __init__(self, seed=1):
        self.values = torch.rand(SAMPLES, GENES, generator=seeded(seed)) * 6
        self.values[SAMPLES // 2 :, :10] = torch.nan
        self.sample_ids = [f"s{number}" for number in range(SAMPLES)]
        self.measured_counts = (~self.values.isnan()).sum(1).numpy()

    def __len__(self):
        return SAMPLES

    def read(self, indices):
        return self.values[torch.as_tensor(indices)].clone()


@pytest.fixture
def model():
    genes = torch.arange(GENES)
    graph = Graph(genes, genes.roll(1), torch.ones(GENES))
    return initialise(BulkFormerConfig(GENES, 8, 1, 2), graph, 3, 2.0)


def gradient(model, samples, step, batch_size):
    """Return loss and gradient of one step."""
    model.zero_grad()
    parts = step.parts(HERE, batch_size)
    batches = prefetched(MaskedSamples(samples, SEED), iter(parts))
    errors = accumulate_gradient(model, step, len(parts), batches, SETTINGS, HERE)
    return errors.sum() / step.n_hidden.sum(), {
        name: parameter.grad.clone()
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    }


def test_the_loss_is_the_mean_over_all_hidden_values_of_the_step(model):
    samples = Samples()
    step = planned_step(samples, SETTINGS, SEED, 1)
    values = samples.read(step.indices)
    generators = [seeded(SEED, TRAINING_MASKS, 1, place) for place in range(len(values))]
    mask = draw_mask(~values.isnan(), step.n_hidden, generators)
    with torch.no_grad():
        expected = (model(*hide(values, mask)) - values)[mask].square().mean()
    loss, _ = gradient(model, samples, step, 3)
    assert loss == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_the_gradient_does_not_depend_on_how_many_forward_passes_a_step_takes(model, batch_size):
    samples = Samples()
    step = planned_step(samples, SETTINGS, SEED, 0)
    loss, whole = gradient(model, samples, step, 8)
    other_loss, parts = gradient(model, samples, step, batch_size)
    assert other_loss == pytest.approx(loss, rel=1e-5)
    for name in whole:
        torch.testing.assert_close(parts[name], whole[name], rtol=1e-3, atol=1e-5)


def test_values_at_genes_that_were_not_measured_never_enter_the_loss(model):
    """Whatever stands in the place of an absent gene, no error and no gradient comes of it."""
    values = Samples().values[-4:]
    mask = draw_mask(~values.isnan(), np.array([5] * 4), [seeded(row) for row in range(4)])
    none = precision_of(SETTINGS, HERE.device)
    found = []
    for network in (model, CorruptedTruth(model, values.isnan())):
        model.zero_grad()
        errors = squared_errors(network, values, mask, none)
        errors.sum().backward()
        found.append(
            (errors.detach(), [p.grad.clone() for p in model.parameters() if p.requires_grad])
        )
    assert torch.equal(found[0][0], found[1][0])
    assert all(map(torch.equal, found[0][1], found[1][1]))
    seen, _ = hide(values, mask)
    assert (seen[values.isnan()] == -10).all()


class CorruptedTruth(torch.nn.Module):
    """A network that is off by a thousand at genes that were not measured, where nobody looks."""

    def __init__(self, model, absent):
        super().__init__()
        self.model, self.absent = model, absent

    def forward(self, seen, share):
        return self.model(seen, share) + 1000.0 * self.absent


def test_an_epoch_takes_every_sample_once_and_the_next_in_another_order():
    samples = Samples()
    per_epoch = -(-SAMPLES // SETTINGS.effective_batch_size)
    epochs = [
        np.concatenate(
            [planned_step(samples, SETTINGS, SEED, per_epoch * e + n).indices for n in range(3)]
        )
        for e in range(2)
    ]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(SAMPLES))
    assert list(epochs[0]) != list(epochs[1])


def test_bfloat16_changes_the_forward_pass_and_leaves_the_loss_in_float32(model):
    values = Samples().values[:4]
    mask = draw_mask(~values.isnan(), np.array([5] * 4), [seeded(row) for row in range(4)])
    exact = squared_errors(model, values, mask, precision_of(SETTINGS, HERE.device))
    rounded = squared_errors(
        model, values, mask, precision_of(replace(SETTINGS, precision="bfloat16"), HERE.device)
    )
    assert rounded.dtype == torch.float32
    assert not torch.equal(exact, rounded)
    torch.testing.assert_close(exact, rounded, rtol=0.05, atol=0.05)


STEP = Step(200, np.array([2, 0, 1]), np.array([10, 10, 20]))
IDS = ["a", "b", "c"]


def progress_with(losses):
    progress = Progress()
    for loss in losses:
        progress.record(0, "train", loss, 1e-4)
        progress.record(0, "validation", 100.0, 1e-4, 0.15)
    return progress


def test_a_loss_that_is_not_finite_names_step_samples_and_the_worst():
    errors = np.array([3.0, np.nan, 40.0])
    with pytest.raises(
        InputError,
        match=r"not finite at step 201; samples a, b, c; largest losses: a \(nan\), b \(2\), "
        r"c \(0.3\)\. The last checkpoint is kept.*learning_rate",
    ):
        check_loss(np.nan, errors, STEP, SETTINGS, 1000, Progress(), IDS)
    with pytest.raises(InputError, match=r"the gradient is not finite at step 201; samples a, b"):
        check_gradient(float("inf"), errors, STEP, IDS)
    check_gradient(1e30, errors, STEP, IDS)


def test_a_loss_far_above_the_recent_ones_stops_after_the_warm_up_only():
    errors = np.array([1.0, 2.0, 3.0])
    usual = progress_with([1.0, 0.9, 1.1] * 40)

    def check(loss, settings=SETTINGS, n_steps=1000, progress=usual):
        check_loss(loss, errors, STEP, settings, n_steps, progress, IDS)

    check(9.9)
    with pytest.raises(InputError, match=r"loss is 10.1, 10.1 times the recent median 1, at step"):
        check(10.1)
    check(10.1, settings=replace(SETTINGS, largest_increase=None))
    check(10.1, n_steps=10_000)  # step 200 lies in the warm-up of 500
    check(10.1, progress=progress_with([1.0] * 19))  # too few to know what is usual


def test_validation_uses_the_same_masks_however_many_samples_pass_at_a_time(model):
    samples, validation = Samples(), Validation((0.15, 0.5), None, 100)

    def errors(values, mask):
        return squared_errors(model.eval(), values, mask, precision_of(SETTINGS, HERE.device))

    one, many = (
        hidden_losses(errors, samples, validation, SEED, HERE, batch_size) for batch_size in (1, 7)
    )
    assert one == pytest.approx(many, rel=1e-6)
    other = hidden_losses(errors, samples, validation, SEED + 1, HERE, 7)
    assert abs(other[0.15] - many[0.15]) > 1e-4


def test_the_floor_is_the_error_of_the_training_mean_under_the_same_masks():
    samples, validation = Samples(), Validation((0.2,), None, 100)
    floor = hidden_losses(
        gene_mean_errors(torch.full((GENES,), 3.0)), samples, validation, 1, HERE, 4
    )
    exact = hidden_losses(
        lambda values, mask: ((values.nan_to_num(0) - 3.0) * mask).square().sum(1),
        samples, validation, 1, HERE, 5,
    )  # fmt: skip
    assert floor == pytest.approx(exact)
    assert floor[0.2] == pytest.approx(3.0, rel=0.3)  # a third of the square of 3: uniform on 0-6


def test_of_many_validation_samples_a_fixed_part_is_looked_at():
    samples = Samples()
    chosen = looked_at(samples, Validation((0.15,), None, 7), 1)
    assert len(set(chosen)) == 7
    assert chosen.tolist() == looked_at(samples, Validation((0.15,), None, 7), 1).tolist()
    assert chosen.tolist() != looked_at(samples, Validation((0.15,), None, 7), 2).tolist()
    assert looked_at(samples, Validation((0.15,), None, 50), 1).tolist() == list(range(SAMPLES))
