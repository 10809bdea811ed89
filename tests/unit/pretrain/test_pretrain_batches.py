"""Batches hold what was asked for, on the genes of the model, and are read ahead of the loop."""

import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from bulkformer.errors import InputError
from bulkformer.expression.store import BATCH_SAMPLES, create_store
from bulkformer.pretrain.batches import (
    CorpusSamples,
    epoch_order,
    gene_mean,
    in_order,
    prefetched,
)
from bulkformer.pretrain.distributed import World

GENES = ["g0", "g1", "g2", "g3", "g4"]
SIZES = {"one": 70, "two": 10}
ABSENT = {"one": [], "two": [3]}  # genes that a cohort did not measure


@pytest.fixture
def stores(tmp_path):
    """Values say where they belong: cohort, sample and gene as digits."""
    paths = []
    for number, (cohort, size) in enumerate(SIZES.items(), start=1):
        values = 1000 * number + 10 * np.arange(size)[:, None] + np.arange(5)[None, :]
        measured = ~np.isin(np.arange(5), ABSENT[cohort])
        values = np.where(measured, values, np.nan)
        paths.append(tmp_path / cohort / "log_tpm.arrow")
        with create_store(paths[-1], measured, "log_tpm") as writer:
            writer.write([f"{cohort}{n}" for n in range(size)], values)
    return paths


@pytest.fixture
def corpus():
    rows = [(cohort, f"{cohort}{n}") for cohort, size in SIZES.items() for n in range(size)]
    table = pd.DataFrame(rows, columns=["cohort", "sample_id"])
    return table.assign(split=["train" if n % 2 else "validation" for n in range(len(rows))])


def test_a_batch_holds_its_samples_in_the_order_asked_for(corpus, stores):
    samples = CorpusSamples(corpus, stores, "train")
    assert len(samples) == 40
    assert samples.sample_ids[34:36] == ["one69", "two1"]
    values = samples.read([35, 0, 34, 35])
    assert values.dtype == torch.float32
    assert values[:, 0].tolist() == [2010, 1010, 1690, 2010]
    assert values.isnan().nonzero().tolist() == [[0, 3], [3, 3]]


def test_measured_genes_are_counted_without_reading_values(corpus, stores):
    samples = CorpusSamples(corpus, stores, "train")
    assert samples.measured_counts.dtype == np.int64
    assert samples.measured_counts.tolist() == [5] * 35 + [4] * 5
    everything = samples.read(np.arange(40))
    assert samples.measured_counts.tolist() == (~everything.isnan()).sum(1).tolist()


def test_columns_are_matched_by_gene_and_a_gene_without_one_is_not_measured(corpus, stores):
    model = ["g4", "unknown", "g3", "g0"]
    samples = CorpusSamples(corpus, stores, "train", model, GENES)
    assert samples.n_genes == 4
    values = samples.read([0, 39])
    assert values[0].nan_to_num(-1).tolist() == [1014, -1, 1013, 1010]
    assert values[1].nan_to_num(-1).tolist() == [2094, -1, -1, 2090]
    assert samples.measured_counts.tolist() == [3] * 35 + [2] * 5


def test_the_same_genes_in_the_same_order_are_left_as_they_are(corpus, stores):
    samples = CorpusSamples(corpus, stores, "train", GENES, GENES)
    plain = CorpusSamples(corpus, stores, "train")
    assert torch.equal(samples.read([0, 34]), plain.read([0, 34]))


def test_a_vocabulary_of_another_size_than_the_store_is_an_error(corpus, stores):
    with pytest.raises(InputError, match="5 genes, but the vocabulary has 4"):
        CorpusSamples(corpus, stores, "train", GENES, GENES[:4])


def test_genes_of_another_kind_are_an_error_that_shows_one_of_each(corpus, stores):
    with pytest.raises(InputError, match=r"'TP53'.*'g0'"):
        CorpusSamples(corpus, stores, "train", ["TP53", "KRAS"], GENES)


def test_an_epoch_is_another_permutation_and_in_order_misses_nothing():
    first, second = epoch_order(50, 1, 0), epoch_order(50, 1, 1)
    assert sorted(first) == sorted(second) == list(range(50))
    assert list(first) != list(second)
    assert list(epoch_order(50, 1, 0)) == list(first)
    assert [part.tolist() for part in in_order(5, 2)] == [[0, 1], [2, 3], [4]]


def test_the_gene_mean_is_over_samples_that_measured_the_gene(corpus, stores):
    samples = CorpusSamples(corpus, stores, "train", [*GENES, "unknown"], GENES)
    values = samples.read(np.arange(40)).numpy()[:, :5]
    mean = gene_mean(samples, World(0, 1, torch.device("cpu")), 7).numpy()
    assert np.allclose(mean[:5], np.nanmean(values, axis=0))
    assert mean[5] == 0


def test_an_infinite_value_is_found_before_training_and_names_its_sample(tmp_path):
    values = np.ones((4, 5), dtype=np.float32)
    values[2, 1] = np.inf
    with create_store(tmp_path / "one/log_tpm.arrow", np.ones(5, bool), "log_tpm") as writer:
        writer.write(list("abcd"), values)
    corpus = pd.DataFrame({"cohort": "one", "sample_id": list("abcd"), "split": "train"})
    samples = CorpusSamples(corpus, [tmp_path / "one/log_tpm.arrow"], "train")
    with pytest.raises(InputError, match=r"sample 'c' has an infinite value"):
        gene_mean(samples, World(0, 1, torch.device("cpu")), 2)


def test_batches_are_read_ahead_in_their_order(corpus, stores):
    samples = CorpusSamples(corpus, stores, "train")
    plan = [np.array(part) for part in ([3, 1], [0], [39, 2])]
    batches = list(prefetched(samples, plan))
    assert [indices.tolist() for indices, _ in batches] == [[3, 1], [0], [39, 2]]
    assert all(torch.equal(v.nan_to_num(), samples.read(i).nan_to_num()) for i, v in batches)


def test_what_follows_reading_can_be_done_in_the_same_thread(corpus, stores):
    samples = CorpusSamples(corpus, stores, "train")

    def prepare(indices, values):
        return threading.current_thread().name, values.isnan().sum().item()

    ((thread, absent),) = prefetched(samples, [np.array([35, 0])], prepare)
    assert thread.startswith("prefetch")
    assert absent == 1


class Counted:
    """Counts what is read, and breaks where it is told to."""

    def __init__(self, breaks_at: int | None = None) -> None:
        self.read_so_far: list[int] = []
        self.breaks_at = breaks_at

    def read(self, batch: int) -> int:
        self.read_so_far.append(batch)
        if batch == self.breaks_at:
            raise InputError(f"batch {batch} is damaged")
        return -batch


def reading_threads() -> int:
    return sum(thread.name.startswith("prefetch") for thread in threading.enumerate())


def test_no_more_is_read_ahead_than_was_asked_for():
    samples = Counted()
    batches = prefetched(samples, iter(range(10)), ahead=3)
    assert next(batches) == (0, 0)
    deadline = time.monotonic() + 10
    while len(samples.read_so_far) < 4 and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(0.05)
    assert samples.read_so_far == [0, 1, 2, 3]
    batches.close()


def test_a_reading_error_comes_in_its_turn_with_its_text():
    batches = prefetched(Counted(breaks_at=2), range(5))
    assert [next(batches), next(batches)] == [(0, 0), (1, -1)]
    with pytest.raises(InputError, match="batch 2 is damaged"):
        next(batches)
    assert reading_threads() == 0


def test_the_reading_thread_ends_with_the_iterator():
    for _ in prefetched(Counted(), range(3)):
        assert reading_threads() == 1
    assert reading_threads() == 0
    abandoned = prefetched(Counted(), iter(range(10**9)))
    next(abandoned)
    abandoned.close()
    assert reading_threads() == 0


def resident() -> int:
    """Bytes that count as memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def test_shuffled_reading_of_a_large_store_takes_no_memory(tmp_path):
    path, n_genes, n = tmp_path / "large" / "log_tpm.arrow", 5_000, 20 * BATCH_SAMPLES
    values = np.ones((BATCH_SAMPLES, n_genes), np.float32)
    with create_store(path, np.ones(n_genes, bool), "log_tpm") as writer:
        for start in range(0, n, BATCH_SAMPLES):
            writer.write([f"s{k}" for k in range(start, start + BATCH_SAMPLES)], values)
    table = pd.DataFrame({"cohort": "large", "sample_id": [f"s{k}" for k in range(n)]})
    samples = CorpusSamples(table.assign(split="train"), [path], "train")
    samples.read(np.arange(8))
    before = resident()
    order = epoch_order(n, 1, 0)
    for _, block in prefetched(samples, (order[k : k + 8] for k in range(0, n, 8))):
        assert block.sum() == block.numel()
    assert resident() - before < path.stat().st_size / 5
