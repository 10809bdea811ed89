"""Copies in the corpus: profiles that GEO holds under a second accession.

They come after everything else is drawn, so that no other number depends on them, and each has a
series of its own: a corpus without its copies is the corpus that had none.
"""

from dataclasses import replace

import numpy as np

from bulkformer.simulate.cohorts import Cohort

FIRST_ACCESSION = 9_400_001  # after those of the samples that they copy
FIRST_SERIES = 970_001
REUPLOADS = 3
READS_LEFT = 0.95  # of the source's reads: the second upload was trimmed or mapped once more


def add_reuploads(
    cohort: Cohort, counts: np.ndarray, rng: np.random.Generator
) -> tuple[Cohort, np.ndarray]:
    """Return the cohort and its counts [n_samples, n_genes] with copies of some of its samples.

    The first copy names the BioSample of its source; the others say nothing that gives them away.
    """
    good = [row for row, sample in enumerate(cohort.samples) if not sample.flaw]
    rows = good[:: len(good) // REUPLOADS][:REUPLOADS]
    copies = []
    for number, row in enumerate(rows):
        source = cohort.samples[row]
        copies.append(
            replace(
                source,
                sample_id=f"GSM{FIRST_ACCESSION + number}",
                study_id=f"GSE{FIRST_SERIES + number}",
                series=f"GSE{FIRST_SERIES + number}",
                flaw="reuploaded",
                copy_of=source.sample_id,
                biosample_of=source.sample_id if number == 0 else "",
            )
        )
    thinned = rng.binomial(counts[rows], READS_LEFT).astype(counts.dtype)
    return (
        Cohort(
            cohort.name,
            [*cohort.samples, *copies],
            np.concatenate([cohort.activity, cohort.activity[rows]]),
        ),
        np.concatenate([counts, thinned]),
    )
