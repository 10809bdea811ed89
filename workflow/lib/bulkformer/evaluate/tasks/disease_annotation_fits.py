"""Disease annotation: the fits that a model asks for, and how they run, on one core or many.

A fit is one head on the training rows of one fold. What it is given is decided by the manifest and
the seed, never by the model, so that all models meet the same rows; where it runs changes nothing.
"""

import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pyarrow as pa

from bulkformer.errors import InputError
from bulkformer.evaluate.heads import HeadSettings, TrainingRows, fit_head
from bulkformer.evaluate.linear import fit_principal_axes
from bulkformer.evaluate.seeds import fold_seed
from bulkformer.evaluate.tasks.disease_annotation_further import FEW_SHOT
from bulkformer.evaluate.tasks.disease_annotation_samples import Samples
from bulkformer.evaluate.vectors import read_vectors

# Values that the fits of a run read together; below, a second process costs more than it saves.
WORTH_SHARING = 2e9
PERMUTED = "permuted_labels"  # the head whose samples lose their labels
# Shows what a leak is worth, and is none of the heads, which cannot leak: the components of all
# rows are made here, before the paper's forest meets its training rows.
LEAKY = "pca_on_all_rows"


@dataclass(frozen=True)
class Fit:
    """One head, fitted to rows `train` and asked about rows `test`, codes into `samples`.

    `places` are regime and condition of the tables that the predictions belong to: one fit to all
    training rows is also the end of a few-shot curve.
    """

    samples: Samples
    places: tuple[tuple[str, str | None], ...]
    head: str
    repeat: int
    fold: int
    train: np.ndarray
    test: np.ndarray
    seed: int


def list_fits(
    samples: Samples,
    manifest: pa.Table,
    regime: str,
    heads: Sequence[str],
    few_shot: Mapping[str, Sequence[float]],
    seed: int,
    split: Path,
) -> Iterator[Fit]:
    """Yield the fits of one dataset and regime.

    Parameters
    ----------
    heads : fitted to all training rows of each fold
    few_shot : {head: shares of the training groups}, fitted in addition; in regime FEW_SHOT
    split : where the manifest stands, for messages

    Raises InputError if a repeat tests other samples than the first.
    """
    for repeat in sorted(set(manifest["repeat"].to_pylist())):
        rows = manifest.filter(pa.array(manifest["repeat"].to_numpy() == repeat)).sort_by("unit")
        if rows["unit"].to_pylist() != samples.sample_id.tolist():
            raise InputError(
                f"{split}: {regime}, repeat {repeat} holds other samples than repeat 0; remove the "
                "file and run the split step again"
            )
        fold_of = rows["fold"].to_numpy()
        tested = np.array(rows["role"].to_pylist()) == "test"
        for fold in np.unique(fold_of[tested]).tolist():
            train, test = np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)
            for head in dict.fromkeys([*heads, *few_shot]):
                places: dict[float, list] = {1.0: [(regime, None)]} if head in heads else {}
                for share in few_shot.get(head, ()):
                    places.setdefault(share, []).append((FEW_SHOT, share_of_groups(share)))
                for share, own in places.items():
                    # The draw knows neither head nor model, and a smaller share is part of it.
                    rng = np.random.default_rng([seed, repeat, fold])
                    known = permute_labels(samples, seed, repeat) if head == PERMUTED else samples
                    kept = draw_groups(samples.labels[train], samples.bound[train], share, rng)
                    yield Fit(
                        known, tuple(own), head, repeat, fold, train[kept], test,
                        fold_seed(seed, head, repeat, fold),
                    )  # fmt: skip


def permute_labels(samples: Samples, seed: int, repeat: int) -> Samples:
    """Return the samples with labels permuted within each study, in training and test rows alike.

    A study keeps its shares of the classes and loses which sample is which, so that within it no
    head can rank better than chance. In a study of one class that would change nothing: samples of
    such studies, and those of no study, are permuted together.
    """
    rng = np.random.default_rng([seed, repeat])
    part = np.array([study or "" for study in samples.study])
    for study in np.unique(part):
        if len(np.unique(samples.labels[part == study])) == 1:
            part[part == study] = ""
    labels = samples.labels.copy()
    for study in np.unique(part):
        own = np.flatnonzero(part == study)
        labels[own] = rng.permutation(labels[own])
    return replace(samples, labels=labels)


def share_of_groups(share: float) -> str:
    """Return the condition that names a share of the training groups."""
    return f"{100 * share:g} % of training groups"


def draw_groups(
    labels: np.ndarray, groups: np.ndarray, share: float, rng: np.random.Generator
) -> np.ndarray:
    """Return the rows of a share of the groups, in order; the same draw's smaller shares lie in it.

    Classes keep their shares, and each gives a first group before any gives a second one, as far as
    that many groups are drawn. A group counts for the class that it has most samples of.
    """
    if share == 1:
        return np.arange(len(labels))
    _, group_of = np.unique(groups, return_inverse=True)
    counts = np.zeros((group_of.max() + 1, labels.max() + 1))
    np.add.at(counts, (group_of, labels), 1)
    class_of = counts.argmax(axis=1)
    chance = rng.permutation(len(counts))
    place = np.empty(len(counts))
    for one in np.unique(class_of):
        own = np.flatnonzero(class_of == one)
        place[own[np.argsort(chance[own])]] = np.arange(len(own)) / len(own)
    order = np.lexsort((chance, place))
    n_drawn = int(np.ceil(round(share * len(counts), 9)))
    return np.flatnonzero(np.isin(group_of, order[:n_drawn]))


def run_fits(
    fits: Sequence[Fit], settings: HeadSettings, threads: int, memory_mb: int | None = None
) -> Iterator[tuple[Fit, np.ndarray, int]]:
    """Yield each fit with the class probabilities [m, C] of its test rows and the settings tried.

    `threads` processes share the fits if they are many, or as many as `memory_mb` has room for; the
    vectors lie in files that all map.
    """
    with tempfile.TemporaryDirectory() as folder:
        files, size, largest = {}, 0.0, 0
        for path in dict.fromkeys(fit.samples.path for fit in fits):
            vectors = read_vectors(path)
            rows = [len(fit.train) for fit in fits if fit.samples.path == path]
            size += sum(rows) * vectors.shape[1]
            largest = max(largest, bytes_of_a_fit(max(rows), vectors.shape[1]))
            files[path] = Path(folder) / f"{len(files)}.npy"
            np.save(files[path], vectors)
        places = [str(files[fit.samples.path]) for fit in fits]
        if memory_mb is not None:
            threads = max(1, min(threads, memory_mb * 10**6 // max(largest, 1)))
        if threads == 1 or size < WORTH_SHARING:
            answers = map(run_fit, fits, places, [settings] * len(fits))
            yield from _counted(fits, answers)
            return
        with ProcessPoolExecutor(threads, get_context("spawn"), _one_core) as pool:
            answers = pool.map(run_fit, fits, places, [settings] * len(fits))
            yield from _counted(fits, answers)


def bytes_of_a_fit(n: int, d: int) -> int:
    """Return how much one fit to vectors [n, d] takes at its peak.

    They stand in single precision, and centred, scaled and spanned in double; inner folds, which
    take MAX_TUNING_ROWS at most, are less. Beside them stand the products of rows, or of columns.
    """
    return (4 + 3 * 8) * n * d + 2 * 8 * min(n, d) ** 2


def run_fit(fit: Fit, vectors: str, settings: HeadSettings) -> tuple[np.ndarray, int]:
    """Fit to the training rows, then predict the test rows: probabilities and settings tried."""
    table, samples = _mapped(vectors), fit.samples
    known, asked = table[samples.row[fit.train]], table[samples.row[fit.test]]
    head = fit.head
    if head == LEAKY:
        axes = fit_principal_axes(np.concatenate([known, asked]), settings.components)
        known, asked, head = axes.transform(known), axes.transform(asked), "random_forest"
    training = TrainingRows(
        known,
        samples.labels[fit.train],
        samples.bound[fit.train],
        samples.study[fit.train],
        len(samples.classes),
    )
    fitted = fit_head(head, training, settings, fit.seed)
    probabilities = fitted.predict(asked, samples.study[fit.test])
    return probabilities.astype(np.float32), fitted.trials


@lru_cache(maxsize=4)
def _mapped(vectors: str) -> np.ndarray:
    return np.load(vectors, mmap_mode="r")


def _one_core() -> None:
    """Keep a worker to one core: the others are for the other workers."""
    # Only libraries that are loaded can be limited: scikit-learn loads those of SciPy and its own.
    import sklearn.svm  # noqa: F401
    from threadpoolctl import threadpool_limits

    threadpool_limits(1)


def _counted(
    fits: Sequence[Fit], answers: Iterator[tuple[np.ndarray, int]]
) -> Iterator[tuple[Fit, np.ndarray, int]]:
    for number, (fit, (probabilities, trials)) in enumerate(zip(fits, answers, strict=True), 1):
        if number % 100 == 0 or number == len(fits):
            print(f"{number} of {len(fits)} fits", file=sys.stderr)
        yield fit, probabilities, trials
