"""Copies are found under other names, pipelines and annotations; replicates are not called copies.

The thresholds hold on simulated libraries, and on real ones where three patients are known to be
in two cohorts that came through different pipelines.
"""

import numpy as np
import pandas as pd
import pytest
from copies_world import N_GENES, Copies, pairs_of

from bulkformer.errors import InputError
from bulkformer.expression.duplicates import duplicates, read_duplicates
from bulkformer.expression.profiles import read_profiles
from bulkformer.simulate.annotation import draw_annotation
from bulkformer.simulate.cohorts import draw_biology, draw_corpus, draw_tcga
from bulkformer.simulate.counts import draw_abundance, draw_counts
from bulkformer.simulate.programs import draw_programs
from bulkformer.simulate.reuploads import add_reuploads

N = 240
COPIED = list(range(0, N, 4))


@pytest.fixture
def world(tmp_path):
    return Copies(tmp_path)


def of_kind(found, by):
    return pairs_of(found[found["by"] == by])


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("equal values", lambda counts, rng: counts),
        ("a constant factor", lambda counts, rng: counts * 0.37),
        ("expected counts, rounded", lambda counts, rng: np.round(counts * 1.003)),
        ("a tenth of the reads trimmed", lambda counts, rng: rng.binomial(counts.astype(int), 0.9)),
    ],
)
def test_a_reupload_is_found_and_nothing_else_is(world, what, change):
    counts = world.library(world.specimens(N))
    again = change(counts[COPIED], world.rng)
    ids = world.cohort("a", world.log_tpm(np.concatenate([counts, again])))
    found = world.scan()
    expected = {(ids[row], ids[N + number]) for number, row in enumerate(COPIED)}
    assert of_kind(found, "expression") == expected, what
    assert (found["correlation"] >= 0.98).all()


def test_replicates_of_one_study_are_no_copies(world):
    """Libraries of the same cells, grown or cut anew, scatter beyond the chance of reads."""
    specimens = world.specimens(N)
    libraries = [world.library(specimens, dispersion=0.05) for _ in range(3)]
    world.cohort("a", world.log_tpm(np.concatenate(libraries)))
    assert world.scan().empty


def other_pipeline(world, counts, rng):
    """Return what another aligner and annotation make of the same reads, and what it measures."""
    bias = np.exp(rng.normal(0, 0.4, N_GENES))  # multi-mapping reads, other exons
    return counts * bias * np.exp(rng.normal(0, 0.15, counts.shape)), rng.random(N_GENES) < 0.8


def test_the_same_specimen_through_another_pipeline_is_found_and_its_tissue_is_not(world):
    counts = world.library(world.specimens(2 * N))
    ours, others = counts[:N], counts[N:]
    ids = world.cohort("a", world.log_tpm(ours))
    again, measured = other_pipeline(world, np.concatenate([ours[COPIED], others]), world.rng)
    theirs = world.cohort("b", world.log_tpm(again, measured), measured)
    found = world.scan()
    expected = {(ids[row], theirs[number]) for number, row in enumerate(COPIED)}
    assert len(pairs_of(found) & expected) >= 0.98 * len(expected)
    assert not pairs_of(found) - expected


def test_a_cohort_that_the_background_was_not_fitted_to_is_compared_as_well(world):
    counts = world.library(world.specimens(2 * N))
    world.cohort("a", world.log_tpm(counts[:N]))
    again, measured = other_pipeline(world, counts, world.rng)
    world.cohort("b", world.log_tpm(again, measured), measured)
    world.sketches(corpus=["a"])
    files = [world.paths(x) for x in ("samples.parquet", "sketch.parquet", "log_tpm.arrow")]
    duplicates(*files, world.cohorts, world.background, 1.0, 0.7, world.found)
    found = {(a[1:], b[1:]) for a, b in pairs_of(pd.read_parquet(world.found))}
    assert len({pair for pair in found if pair[0] == pair[1]}) >= 0.98 * N
    assert len({pair for pair in found if pair[0] != pair[1]}) == 0


def test_accession_comes_before_biosample_and_biosample_before_expression(world):
    counts = world.library(world.specimens(N))
    a = [f"GSM{n}" for n in range(N)]
    biosample = [f"SAMN{n}" for n in range(N)]
    biosample[2], biosample[5] = biosample[1], None
    world.cohort("a", world.log_tpm(counts), sample_id=a, biosample=biosample)
    other = [biosample[0], biosample[1], None, ""]
    world.cohort(
        "b",
        world.log_tpm(counts[[0, 1, 3, 9]]),
        sample_id=["GSM0", "x", "y", "z"],
        biosample=other,
    )
    found = world.scan()
    assert of_kind(found, "sample_id") == {("GSM0", "GSM0")}
    assert of_kind(found, "biosample") == {("GSM1", "GSM2"), ("GSM1", "x"), ("GSM2", "x")}
    assert of_kind(found, "expression") == {("GSM3", "y"), ("GSM9", "z")}
    # Evidence by name says nothing of the profiles: the correlation does.
    found = found.set_index(["sample_id", "other_sample_id"])["correlation"]
    assert found["GSM1", "GSM2"] < 0.5
    assert found["GSM1", "x"] > 0.99


def test_samples_of_two_cohorts_with_one_id_and_two_profiles_are_warned_of(world, capsys):
    counts = world.library(world.specimens(N))
    half = N // 2
    ids = [f"GSM{n}" for n in range(half)]
    world.cohort("a", world.log_tpm(counts[:half]), sample_id=ids)
    again = world.log_tpm(np.concatenate([counts[:20], counts[half + 20 :]]))
    world.cohort("b", again, sample_id=ids)
    found = world.scan()
    assert (found["by"] == "sample_id").sum() == half
    assert f"{half - 20} samples of two cohorts share an id" in capsys.readouterr().err


def test_of_a_simulated_corpus_exactly_the_planted_copies_are_found(world):
    """Second aliquots of a patient are no copies; re-uploads in a series of their own are."""
    streams = iter(np.random.default_rng(7).spawn(8))
    annotation = draw_annotation(600, next(streams))
    programs = draw_programs(annotation.coding, 12, next(streams))
    abundance = draw_abundance(annotation, next(streams))
    biology = draw_biology(12, next(streams))
    archs4 = draw_corpus(24, 200, biology, next(streams))
    tcga = draw_tcga(40, biology, next(streams))
    world.length = annotation.length_bp[annotation.coding]
    for cohort in (archs4, tcga):
        rng = next(streams)
        counts = draw_counts(cohort, annotation, programs, abundance, 0.25, rng)
        if cohort is archs4:
            cohort, counts = add_reuploads(cohort, counts, rng)
            planted = {(s.copy_of, s.sample_id) for s in cohort.samples if s.copy_of}
        good = [row for row, s in enumerate(cohort.samples) if s.flaw in ("", "reuploaded")]
        names = pd.Series([cohort.samples[row].sample_id for row in good])
        once = ~names.duplicated().to_numpy()
        values = world.log_tpm(counts[good][:, annotation.coding].astype(float))
        world.cohort(cohort.name, values[once], sample_id=names[once].tolist())
    assert pairs_of(world.scan()) == planted
    assert len(planted) == 3


def test_samples_that_were_not_kept_are_not_compared(world):
    counts = world.library(world.specimens(N))
    world.cohort("a", world.log_tpm(counts))
    table = pd.read_parquet(world.path("a", "samples.parquet"))
    left_out = table.iloc[:3].assign(kept=False, biosample="SAMN1")
    pd.concat([left_out, table.assign(biosample="")]).to_parquet(world.path("a", "samples.parquet"))
    assert world.scan().empty


def test_same_input_same_bytes_and_pairs_in_order(world):
    counts = world.library(world.specimens(N))
    world.cohort("z", world.log_tpm(counts))
    world.cohort("a", world.log_tpm(counts[::-1]))
    found = world.scan()
    first = world.found.read_bytes()
    assert set(found["cohort"]) == {"z"}  # in the order of the cohorts, not of their names
    assert found["sample_id"].is_monotonic_increasing
    world.scan()
    assert world.found.read_bytes() == first
    assert len(read_duplicates(world.found)) == N


def test_files_of_different_runs_are_refused(world):
    counts = world.library(world.specimens(N))
    world.cohort("a", world.log_tpm(counts))
    world.sketches()
    world.cohort("a", world.log_tpm(counts[:-1]))
    one = [[world.path("a", x)] for x in ("samples.parquet", "sketch.parquet", "log_tpm.arrow")]
    with pytest.raises(InputError, match=r"hold different samples.*run the expression stage again"):
        read_profiles(["a"], *one)
    with pytest.raises(InputError, match="2 cohorts, 1 sample tables"):
        read_profiles(["a", "b"], *one)
