"""The search for copies: time against the number of samples, and what a sketch costs a sample.

Sketches are random bits with copies planted among them, one sample in ten: what the search meets
once tissue, pipeline and protocol are taken out. A search that compares all pairs would take four
times as long for twice the samples.
"""

from __future__ import annotations

import sys
from math import acos, pi

from harness import LIBRARY, Bar, Row, arguments, finish, seconds

sys.path.insert(0, str(LIBRARY))

import numpy as np

from bulkformer.expression.background import Background
from bulkformer.expression.candidates import bands_for, pairs_between, pairs_within
from bulkformer.expression.sketch import BITS, draw_planes

CORPUS = 500_000
COHORT = 2_000  # samples of an evaluation cohort that are looked up
COPIES = 10  # one sample in so many has a copy
WITHIN, ACROSS = 0.98, 0.8
GENES, FINGERPRINT_GENES, COMPONENTS = 20_010, 2_048, 40
SIZES = {"small": [10_000, 20_000, 40_000], "full": [50_000, 100_000, 200_000]}


def corpus(n: int, correlation: float, rng: np.random.Generator) -> np.ndarray:
    """Return sketches uint8 [n, BITS / 8]; the last ones are copies of the first ones."""
    copies = n // COPIES
    own = rng.integers(0, 256, (n - copies, BITS // 8), dtype=np.uint8)
    flips = rng.random((copies, BITS), dtype=np.float32) < acos(correlation) / pi
    return np.concatenate([own, own[:copies] ^ np.packbits(flips, axis=1)])


def seconds_of_sketching(n: int, rng: np.random.Generator) -> float:
    """Return the seconds that the fingerprints and bits of `n` profiles take, in blocks of 64."""
    genes = np.sort(rng.permutation(GENES)[:FINGERPRINT_GENES])
    components = np.linalg.qr(rng.normal(size=(FINGERPRINT_GENES, COMPONENTS)))[0].T
    mean = np.full(FINGERPRINT_GENES, 2, np.float32)
    common = Background(GENES, genes, mean, components.astype(np.float32))
    fingerprints = common.among(np.ones(GENES, bool), np.zeros_like(mean), LIBRARY)
    planes = draw_planes(FINGERPRINT_GENES, 0)
    values = rng.gamma(1, 2, (64, GENES)).astype(np.float32)

    def blocks() -> None:
        for _ in range(n // 64):
            np.packbits(fingerprints.of(values) @ planes > 0, axis=1)

    return seconds(blocks)


def main() -> None:
    options = arguments(__doc__)
    rng = np.random.default_rng(0)
    rows, took, found = [], [], []
    for n in SIZES[options.scale]:
        bits = corpus(n, WITHIN, rng)
        took.append(seconds(lambda bits=bits: pairs_within(bits, bands_for(WITHIN)), repeats=1))
        found.append(len(pairs_within(bits, bands_for(WITHIN))) / (n // COPIES))
        rows.append(Row(f"copies within {n:,}", took[-1], note=f"{found[-1]:.2%} found"))
    looked_up = corpus(n, ACROSS, rng)
    eval_bits = looked_up[-COHORT:]
    rest = looked_up[: n - n // COPIES]
    across = seconds(lambda: pairs_between(eval_bits, rest, bands_for(ACROSS)), repeats=1)
    share = len(pairs_between(eval_bits, rest, bands_for(ACROSS))) / COHORT
    rows.append(Row(f"{COHORT:,} looked up in {n:,}", across, note=f"{share:.2%} found"))
    sketching = seconds_of_sketching(640, rng) / 640
    rows.append(Row("sketch of one profile", sketching, note=f"{1 / sketching:,.0f} samples/s"))

    growth = (took[-1] / took[0]) ** (1 / (len(took) - 1))
    projected = took[-1] * (CORPUS / n) ** np.log2(growth)
    rows += [
        Row(f"projected: copies within {CORPUS:,}", projected),
        Row(f"projected: {COHORT:,} looked up in {CORPUS:,}", across * CORPUS / n),
        Row(f"projected: sketches of {CORPUS:,}", sketching * CORPUS, note="without reading"),
    ]
    bars = [
        Bar("time for twice the samples", growth, at_most=2.6),
        Bar("copies found", min(found), at_least=0.99, unit="of 1"),
        Bar("copies found across pipelines", share, at_least=0.98, unit="of 1"),
    ]
    finish(rows, bars, options.check, "The search for copies among sketches")


if __name__ == "__main__":
    main()
