"""Sketches: bits agree as fingerprints correlate, and say nothing about genes that are absent."""

from math import acos, pi

import numpy as np
import pytest
from copies_world import N_GENES, Copies

from bulkformer.errors import InputError
from bulkformer.expression.background import Background
from bulkformer.expression.candidates import bands_for, pairs_between, pairs_within
from bulkformer.expression.sketch import BITS, Sketches, draw_planes
from bulkformer.expression.store import ExpressionStore


@pytest.fixture
def world(tmp_path):
    world = Copies(tmp_path)
    world.cohort("a", world.log_tpm(world.library(world.specimens(160))))
    return world


def fingerprints(world, cohort):
    store = ExpressionStore(world.path(cohort, "log_tpm.arrow"))
    common = Background.read(world.background)
    return common.among(store.measured, common.shift(store), store.path).of(store.read())


def test_bits_differ_in_the_share_that_the_correlation_predicts():
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(2, 500))
    for correlation in (0.3, 0.8, 0.98):
        mixed = correlation * one + np.sqrt(1 - correlation**2) * other
        pair = np.stack([one, mixed]).astype(np.float32)
        bits = pair @ draw_planes(500, 1) > 0
        expected = acos(np.corrcoef(pair)[0, 1]) / pi
        assert (bits[0] != bits[1]).mean() == pytest.approx(expected, abs=0.03)


def test_fingerprints_carry_neither_tissue_nor_study_and_are_their_own(world):
    world.sketches()
    values = ExpressionStore(world.path("a", "log_tpm.arrow")).read()
    raw = np.corrcoef(values)
    own = fingerprints(world, "a") @ fingerprints(world, "a").T
    others = ~np.eye(len(values), dtype=bool)
    assert raw[others].max() > 0.9
    assert abs(own[others]).max() < 0.5
    assert np.diag(own) == pytest.approx(1, abs=1e-5)


def test_absent_genes_leave_the_rest_of_a_fingerprint_as_it_was(world):
    counts = world.library(world.specimens(160))
    measured = np.arange(N_GENES) % 3 > 0
    world.cohort("whole", world.log_tpm(counts))
    world.cohort("part", world.log_tpm(counts, measured), measured)
    world.sketches(["a", "whole"])
    whole = Sketches.read(world.path("whole", "sketch.parquet")).bits
    part = Sketches.read(world.path("part", "sketch.parquet")).bits
    distance = np.bitwise_count(whole ^ part).sum(axis=1) / BITS
    assert distance.max() < 0.3  # samples that have nothing in common differ in half of the bits


def test_equal_values_have_equal_hashes_and_other_values_others(world):
    values = ExpressionStore(world.path("a", "log_tpm.arrow")).read()
    changed = values[:1].copy()
    changed[0, 0] += 1e-3
    world.cohort("b", np.concatenate([values[5:6], changed]))
    world.sketches()
    a, b = (Sketches.read(world.path(name, "sketch.parquet")) for name in "ab")
    assert b.hashes[0] == a.hashes[5]
    assert b.hashes[1] not in a.hashes
    assert len(set(a.hashes)) == len(a.hashes)


def test_same_input_and_seed_same_bytes_and_another_seed_is_not_comparable(world):
    path = world.path("a", "sketch.parquet")
    world.sketches()
    first = path.read_bytes()
    mine = Sketches.read(path)
    world.sketches()
    assert path.read_bytes() == first
    world.sketches(seed=1)
    with pytest.raises(InputError, match="different backgrounds or seeds"):
        mine.check_same_planes(Sketches.read(path))


def test_a_cohort_on_other_genes_is_refused_with_a_remedy(world):
    measured = np.zeros(N_GENES, bool)
    measured[:40] = True
    world.cohort("panel", world.log_tpm(world.library(world.specimens(3)), measured), measured)
    with pytest.raises(InputError, match=r"panel.*tell samples apart.*gene_ids"):
        world.sketches(["a"])


def noisy(bits, correlation, rng):
    """Return bits that differ as those of fingerprints with this correlation do."""
    flips = rng.random((len(bits), BITS)) < acos(correlation) / pi
    return bits ^ np.packbits(flips, axis=1)


@pytest.mark.parametrize("correlation", [0.98, 0.9, 0.8])
def test_bands_find_nearly_all_pairs_at_their_correlation_and_hardly_any_by_chance(correlation):
    rng = np.random.default_rng(3)
    bits = rng.integers(0, 256, (6_000, BITS // 8), dtype=np.uint8)
    copies = noisy(bits[:300], correlation, rng)
    bands = bands_for(correlation)
    expected = {(row, 6_000 + row) for row in range(300)}
    within = set(map(tuple, pairs_within(np.concatenate([bits, copies]), bands).tolist()))
    assert len(expected & within) > 0.98 * len(expected)
    assert not within - expected
    between = pairs_between(copies, bits, bands)
    assert len(between) > 0.98 * 300
    assert (between[:, 0] == between[:, 1]).all()
    assert bands.found > 0.98


def test_a_family_of_equal_sketches_is_joined_without_all_its_pairs():
    rng = np.random.default_rng(0)
    bits = np.repeat(rng.integers(0, 256, (1, BITS // 8), dtype=np.uint8), 3_000, axis=0)
    pairs = pairs_within(bits, bands_for(0.98))
    assert len(pairs) <= 64 * 3_000
    assert {(row, row + 1) for row in range(2_999)} <= set(map(tuple, pairs.tolist()))
    assert (pairs[:, 0] < pairs[:, 1]).all()


def test_no_samples_have_no_pairs():
    none = np.empty((0, BITS // 8), dtype=np.uint8)
    assert pairs_within(none, bands_for(0.98)).shape == (0, 2)
    assert pairs_between(none, none, bands_for(0.7)).shape == (0, 2)
