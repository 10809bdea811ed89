"""What the samples of a cohort share with the part of the corpus that a model learned from.

Shared is the sample itself, by accession, by BioSample or by its expression profile, and likewise
its patient, donor or study: each is a reason why a test on it is easier than it looks.
"""

from collections.abc import Sequence
from pathlib import Path

from bulkformer.evaluate.records import Columns, read_columns, select, split_keys

ALL_SAMPLES = "all_samples"  # of a cohort; what every regime without rows of its own falls back to
CORPUS_REGIMES = ("held_out_samples", "held_out_groups")
# Parts of the corpus that nobody learns from, though from others of the same studies and patients.
SIBLINGS = ("held_out_samples", "validation_samples")
KEYS = {
    "sample_id": "shared_samples",
    "patient_id": "shared_patients",
    "donor_id": "shared_donors",
    "study_id": "shared_studies",
}
# Evidence of the scan of expression (the overlap table) and the column that counts it.
SCANNED = {
    "sample_id": "shared_samples",
    "biosample": "shared_biosamples",
    "expression": "shared_profiles",
}
WORDS = {
    "shared_samples": "samples themselves",
    "shared_biosamples": "samples' BioSample",
    "shared_profiles": "samples' expression profile",
    "shared_patients": "samples' patient",
    "shared_donors": "samples' donor",
    "shared_studies": "samples' study",
}
Shared = dict[str, int]  # counts of samples by what they share with the corpus
Overlap = dict[str, list[tuple[str, str, str]]]  # {sample: [(split of its copy, evidence, copy)]}


def read_overlap(path: Path) -> Overlap:
    """Read which samples of a cohort occur in the corpus, on which side, by which evidence."""
    columns = read_columns(path, ["sample_id", "corpus_split", "by", "corpus_sample_id"])
    overlap: Overlap = {}
    for sample_id, *found in zip(*columns.values(), strict=True):
        overlap.setdefault(sample_id, []).append(tuple(found))
    return overlap


def groups_of_siblings(rows: Columns, labels: dict[str, Columns]) -> dict[str, dict[str, str]]:
    """Return patient, donor and study of each sample of the corpus in SIBLINGS."""
    found = {}
    for cohort in sorted(set(rows["cohort"]) & labels.keys()):
        part = _only(labels[cohort], _ids(rows, cohort, SIBLINGS))
        for i, sample_id in enumerate(part["sample_id"]):
            found[sample_id] = {key: part[key][i] for key in KEYS if key != "sample_id"}
    return found


def with_groups_of_copies(
    samples: Columns, overlap: Overlap, groups: dict[str, dict[str, str]]
) -> Columns:
    """Return the samples with the patient, donor and study of their copies in the corpus as well.

    Parameters
    ----------
    groups : of the samples in SIBLINGS. To others it makes no difference: they were learned from
        themselves, or nothing of their groups was.
    """
    extended = {name: list(values) for name, values in samples.items()}
    for row, sample_id in enumerate(samples["sample_id"]):
        copies = {sample_id, *(copy for _, _, copy in overlap.get(sample_id, ()))}
        for copy in sorted(copies & groups.keys()):
            for key, value in groups[copy].items():
                both = [*split_keys(extended[key][row]), *split_keys(value)]
                extended[key][row] = ",".join(dict.fromkeys(both))
    return extended


def subsets(rows: Columns, labels: dict[str, Columns]) -> dict[tuple[str, str], Columns]:
    """Return {(cohort, regime): samples}: all kept ones, and for the corpus each held-out part."""
    parts = {}
    for cohort, samples in labels.items():
        parts[cohort, ALL_SAMPLES] = samples
        for regime in CORPUS_REGIMES:
            held_out = _ids(rows, cohort, (regime,))
            if held_out:
                parts[cohort, regime] = _only(samples, held_out)
    return parts


def seen_in(rows: Columns, labels: dict[str, Columns], splits: Sequence[str]) -> dict[str, set]:
    """Return the identifiers of what lies in `splits` of the corpus, by kind of identifier."""
    seen: dict[str, set[str]] = {key: set() for key in KEYS}
    for cohort in sorted(set(rows["cohort"])):
        ids = _ids(rows, cohort, splits)
        seen["sample_id"] |= ids
        if ids and cohort in labels:
            learned = _only(labels[cohort], ids)
            for key in KEYS:
                seen[key].update(*(split_keys(value) for value in learned[key]))
    return seen


def shared(
    samples: Columns, seen: dict[str, set[str]], overlap: Overlap, splits: Sequence[str]
) -> Shared:
    """Count the samples that were seen, by evidence, and those whose patient, donor or study was.

    A sample counts by BioSample or profile only if its accession was not seen.
    """
    counts = dict.fromkeys(WORDS, 0)
    for key, name in KEYS.items():
        counts[name] = sum(not seen[key].isdisjoint(split_keys(value)) for value in samples[key])
    for sample_id in samples["sample_id"]:
        if sample_id not in seen["sample_id"]:
            evidence = {by for split, by, _ in overlap.get(sample_id, ()) if split in splits}
            strongest = next((by for by in SCANNED if by in evidence), None)
            if strongest:
                counts[SCANNED[strongest]] += 1
    return counts


def in_words(shared: Shared, n: int) -> str:
    """Return "3 of 8 samples themselves; 1 of 8 samples' study"."""
    return "; ".join(
        f"{shared[name]} of {n} {words}" for name, words in WORDS.items() if shared[name]
    )


def _ids(rows: Columns, cohort: str, splits: Sequence[str]) -> set[str]:
    return {
        sample_id
        for of, sample_id, split in zip(
            rows["cohort"], rows["sample_id"], rows["split"], strict=True
        )
        if of == cohort and split in splits
    }


def _only(samples: Columns, ids: set[str]) -> Columns:
    return select(samples, [i for i, one in enumerate(samples["sample_id"]) if one in ids])
