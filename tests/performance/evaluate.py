"""Ridge of every gene on held-out lines at the size of a DepMap release, against a loop of fits.

The loop is scikit-learn's ridge, one target after the other, with the same inner folds and the same
penalties. At full size the vectors are as wide as the paper's, and folds hold whole patients. The
ratio is of processor seconds, which other work on the machine does not change.
"""

from __future__ import annotations

import resource
import time

import harness
import numpy as np
from sklearn.linear_model import Ridge

from bulkformer.evaluate.ridge import INNER_FOLDS, PENALTIES, fit_ridge
from bulkformer.evaluate.splits import assign_folds

# lines, dimensions, genes, genes of the loop, outer folds
SIZES = {"full": (1_000, 643, 15_000, 200, 5), "small": (300, 100, 2_000, 30, 3)}
MISSING = 0.007  # of the released gene effects
LEAST_RATIO = {"full": 20.0, "small": 5.0}
MOST_SECONDS = 120.0  # on two processors
MOST_MEMORY = 3.0  # GB
SEED = 1


def simulate(lines: int, dimensions: int, genes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return vectors float32 [lines, dimensions], effects with gaps [lines, genes], patients."""
    rng = np.random.default_rng(SEED)
    states = rng.standard_normal((lines, 40), dtype=np.float32)
    vectors = states @ rng.standard_normal((40, dimensions), dtype=np.float32)
    vectors += rng.standard_normal(vectors.shape, dtype=np.float32)
    loadings = rng.standard_normal((40, genes), dtype=np.float32)
    loadings *= rng.random((40, genes), dtype=np.float32) < 0.05
    effects = 0.1 * (states @ loadings) - rng.uniform(0, 1, genes).astype(np.float32)
    effects += 0.2 * rng.standard_normal(effects.shape, dtype=np.float32)
    # Libraries differ in the genes that they target, so lines lack values in blocks.
    for part in np.array_split(rng.permutation(lines)[: lines // 10], 4):
        absent = rng.random(genes) < 10 * MISSING
        effects[np.ix_(part, absent)] = np.nan
    return vectors, effects, rng.integers(0, int(0.97 * lines), lines)


def loop(vectors: np.ndarray, effects: np.ndarray, patients: np.ndarray) -> np.ndarray:
    """Return predictions of the training rows, each target tuned and fitted by itself."""
    scale = vectors.std(axis=0, dtype=np.float64) * np.sqrt(vectors.shape[1])
    inputs = (vectors - vectors.mean(axis=0, dtype=np.float64)) / scale
    rng = np.random.default_rng(SEED)
    fold_of = assign_folds([""] * len(patients), patients.tolist(), INNER_FOLDS, rng)
    told = []
    for effect in effects.T.astype(np.float64):
        known = np.isfinite(effect)
        errors = np.zeros(len(PENALTIES))
        for fold in range(INNER_FOLDS):
            train, test = known & (fold_of != fold), known & (fold_of == fold)
            for number, penalty in enumerate(PENALTIES):
                model = Ridge(penalty).fit(inputs[train], effect[train])
                errors[number] += ((model.predict(inputs[test]) - effect[test]) ** 2).sum()
        best = PENALTIES[int(errors.argmin())]
        told.append(Ridge(best).fit(inputs[known], effect[known]).predict(inputs))
    return np.stack(told, axis=1)


def together(vectors: np.ndarray, effects: np.ndarray, patients: np.ndarray) -> np.ndarray:
    """Return the same predictions, all targets at once."""
    return fit_ridge(vectors, effects, patients, PENALTIES, SEED).predict(vectors)


def outer_folds(
    vectors: np.ndarray, effects: np.ndarray, patients: np.ndarray, folds: int
) -> tuple[float, float]:
    """Predict every line by a fit that never saw its patient; return wall and processor seconds."""
    start, work = time.perf_counter(), time.process_time()
    rng = np.random.default_rng(SEED)
    fold_of = assign_folds([""] * len(patients), patients.tolist(), folds, rng)
    for fold in range(folds):
        train = fold_of != fold
        model = fit_ridge(vectors[train], effects[train], patients[train], PENALTIES, SEED)
        model.predict(vectors[~train])
    return time.perf_counter() - start, time.process_time() - work


def main() -> None:
    """Measure and print."""
    asked = harness.arguments(__doc__)
    lines, dimensions, genes, looped, folds = SIZES[asked.scale]
    vectors, effects, patients = simulate(lines, dimensions, genes)
    told, times = {}, {}
    for name, predict in (("loop", loop), ("ridge", together)):
        start = time.process_time()
        told[name] = predict(vectors, effects[:, :looped], patients)
        times[name] = time.process_time() - start
    difference = np.abs(told["loop"] - told["ridge"]).max()
    full, work = outer_folds(vectors, effects, patients, folds)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / harness.MEGABYTE
    size = f"{genes:,} genes x {lines:,} lines x {folds} outer folds"
    note = f"{size}; {work:.0f} processor seconds"
    harness.finish(
        [
            harness.Row(
                "scikit-learn, one gene after the other", times["loop"], note=f"{looped} genes"
            ),
            harness.Row("all genes together", times["ridge"], note=f"{looped} genes"),
            harness.Row("all genes, outer folds, inner tuning", full, peak, note=note),
        ],
        [
            harness.Bar(
                f"time of the loop on {looped} genes, in times of ours",
                times["loop"] / times["ridge"],
                at_least=LEAST_RATIO[asked.scale],
            ),
            harness.Bar("all genes and outer folds", full, MOST_SECONDS, unit="s"),
            harness.Bar("peak memory", peak / 1e3, MOST_MEMORY, unit="GB"),
            harness.Bar("largest difference of a prediction", float(difference), 1e-6, unit=""),
        ],
        asked.check,
        f"Ridge of many genes, {size}",
    )


if __name__ == "__main__":
    main()
