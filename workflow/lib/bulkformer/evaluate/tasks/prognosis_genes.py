"""One gene at a time: the paper's arm of prognosis, and what is left of it.

A forest reads one gene and tells who died. The paper splits patients at the median of such scores
and reports the p of a Cox regression on the halves, in the very patients from whom the median
comes, one for every gene and cancer. Beside it stands the concordance of the same scores, by pairs
of one cancer and fold, with a test against chance that is corrected for all genes and cancers.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
from typer import Option

from bulkformer.cli import command
from bulkformer.embed.genes import columns_of, read_request
from bulkformer.embed.tokens import TokenStore
from bulkformer.errors import InputError
from bulkformer.evaluate import heads
from bulkformer.evaluate.measures import ratio
from bulkformer.evaluate.paired_tests import benjamini_hochberg
from bulkformer.evaluate.records import read_columns
from bulkformer.evaluate.seeds import fold_seed
from bulkformer.evaluate.statistics import Bootstrap, Estimate, Resampled
from bulkformer.evaluate.survival_cox import as_outcome, partial_likelihood
from bulkformer.evaluate.survival_measures import event_pairs
from bulkformer.evaluate.tasks.prognosis_genes_request import first_folds
from bulkformer.evaluate.tasks.prognosis_outcomes import read_outcomes
from bulkformer.expression.store import ExpressionStore
from bulkformer.files import sha256, write_table

EXPRESSION = "log_tpm"
# One row an input, cancer and gene. Of `hazard_ratio` and `cox_p` the halves were chosen in the
# patients that they are tested on, and `cox_p` is corrected for nothing: the paper's way.
TABLE = pa.schema(
    [
        ("dataset", pa.string()),
        ("endpoint", pa.string()),
        ("input", pa.string()),  # log_tpm, or the model whose gene tokens were read
        ("cancer", pa.string()),
        ("gene_id", pa.string()),
        ("symbol", pa.string()),
        ("n", pa.int64()),
        ("n_events", pa.int64()),
        ("hazard_ratio", pa.float64()),  # of the half with higher scores; null without two halves
        ("cox_p", pa.float64()),
        ("c_index", pa.float64()),
        ("ci_low", pa.float64()),  # over patients
        ("ci_high", pa.float64()),
        ("p", pa.float64()),  # of a concordance as high, had scores been exchanged within folds
        ("p_adjusted", pa.float64()),  # Benjamini-Hochberg over genes and cancers of an input
        ("n_family", pa.int64()),
        ("n_boot", pa.int64()),
        ("seed", pa.int64()),
        ("split_sha256", pa.string()),
    ]
)


def prognosis_genes(
    split: Annotated[Path, Option(help="Manifest of the task.")],
    request: Annotated[Path, Option(help="JSON of samples and genes.")],
    survival: Annotated[Path, Option(help="survival.parquet.")],
    samples: Annotated[Path, Option(help="samples.parquet of the cohort.")],
    genes: Annotated[Path, Option(help="Vocabulary, genes.parquet.")],
    store: Annotated[Path, Option(help="log_tpm.arrow of the cohort.")],
    settings: Annotated[str, Option(help="Section prognosis of the config, as JSON.")],
    n_boot: Annotated[int, Option(help="Draws of intervals and tests.")],
    seed: Annotated[int, Option()],
    output: Annotated[Path, Option()],
    model: Annotated[list[str] | None, Option(help="Models with gene tokens.")] = None,
    tokens: Annotated[list[Path] | None, Option(help="Their tokens, in the same order.")] = None,
) -> None:
    """Tell the course of patients of one cancer from one gene, for every gene that is asked for."""
    chosen = json.loads(settings)
    sample_ids, gene_ids = read_request(request)
    cohort = _join(split, survival, samples, sample_ids, chosen["endpoint"])
    columns = columns_of(gene_ids, genes, request)
    every = read_columns(genes, ["symbol"])["symbol"]
    symbols = {gene: every[column] for gene, column in zip(gene_ids, columns, strict=True)}
    about = {"dataset": cohort.dataset, "endpoint": chosen["endpoint"], "n_boot": n_boot}
    about |= {"seed": seed, "split_sha256": sha256(split)}
    bootstrap = Bootstrap(n_boot, seed)
    rows: list[dict[str, Any]] = []
    sources = [(EXPRESSION, _expression(store, sample_ids, gene_ids, columns))]
    pairs = zip(model or [], tokens or [], strict=True)
    sources += [(name, _tokens(path, sample_ids, gene_ids)) for name, path in pairs]
    for source, vectors in sources:
        family = []
        for gene, values in vectors:
            for cancer in sorted(set(cohort.cancer.tolist())):
                own = cohort.take(cohort.cancer == cancer)
                draw = fold_seed(seed, source, gene, cancer)
                score = out_of_fold(
                    values[cohort.cancer == cancer], own, chosen["legacy"]["trees"], draw
                )
                names = {"input": source, "cancer": cancer, "gene_id": gene}
                names["symbol"] = symbols[gene]
                family.append(about | names | measured(score, own, bootstrap, draw))
        adjusted = benjamini_hochberg([row["p"] for row in family]) if family else []
        for row, p in zip(family, adjusted, strict=True):
            rows.append(row | {"p_adjusted": float(p), "n_family": len(family)})
        print(f"{source}: {len(family)} genes and cancers", file=sys.stderr)
    write_table(output, pa.Table.from_pylist(rows, schema=TABLE))


@dataclass(frozen=True)
class Followed:
    """Patients with one primary tumour each, arrays [n] in the order of the request."""

    dataset: str
    cancer: np.ndarray
    fold: np.ndarray
    time: np.ndarray
    event: np.ndarray

    def take(self, chosen: np.ndarray) -> "Followed":
        """Return the chosen patients."""
        parts = (self.cancer, self.fold, self.time, self.event)
        return Followed(self.dataset, *(part[chosen] for part in parts))


def out_of_fold(values: np.ndarray, patients: Followed, trees: int, seed: int) -> np.ndarray:
    """Return the probability of death [n] that forests on other folds read from values [n, d]."""
    score = np.zeros(len(values))
    for fold in np.unique(patients.fold):
        test = patients.fold == fold
        event = patients.event[~test].astype(np.int64)
        nobody = np.full(len(event), None)
        training = heads.TrainingRows(values[~test], event, np.arange(len(event)), nobody, 2)
        settings = heads.HeadSettings(components=1, trees=trees)
        forest = heads.fit_head("random_forest", training, settings, seed)
        score[test] = forest.predict(values[test], np.full(test.sum(), None))[:, 1]
    return score


def measured(
    score: np.ndarray, patients: Followed, bootstrap: Bootstrap, seed: int
) -> dict[str, Any]:
    """Return what the paper reports of scores [n], and their concordance with interval and p."""
    hazard_ratio, cox_p = split_at_median(score, patients.time, patients.event)
    concordance = _concordance(score, patients, bootstrap)
    return {
        "n": len(score),
        "n_events": int(patients.event.sum()),
        "hazard_ratio": hazard_ratio,
        "cox_p": cox_p,
        "c_index": concordance.value,
        "ci_low": concordance.low,
        "ci_high": concordance.high,
        "p": chance(score, patients, bootstrap.n_boot, seed),
    }


def split_at_median(
    score: np.ndarray, time: np.ndarray, event: np.ndarray
) -> tuple[float | None, float | None]:
    """Return hazard ratio of the upper half of scores, and p of a Cox regression on the halves.

    The p is of the likelihood-ratio test. Who is at the median itself goes where halves are more
    even. Both are None where there are no two halves, or where one of them has no event and the
    ratio no limit.
    """
    from scipy.special import gammaincc

    median = np.median(score)
    choices = (score > median, score >= median)
    upper = min(choices, key=lambda chosen: abs(chosen.mean() - 0.5))
    if not event[upper].any() or not event[~upper].any():
        return None, None
    # Imported here: scikit-survival takes seconds to import.
    from sksurv.linear_model import CoxPHSurvivalAnalysis

    halves = upper[:, None].astype(float)
    weight = float(CoxPHSurvivalAnalysis().fit(halves, as_outcome(time, event)).coef_[0])
    told = partial_likelihood(np.column_stack([weight * upper, 0.0 * upper]), time, event)
    statistic = max(2 * float(told[0] - told[1]), 0.0)
    return float(np.exp(weight)), float(gammaincc(0.5, statistic / 2))


def chance(score: np.ndarray, patients: Followed, n_draws: int, seed: int) -> float:
    """Return how often scores exchanged within folds are as concordant as they stand.

    One-sided: a score that orders patients the wrong way round is no finding.
    """
    rng = np.random.default_rng([seed, 1])
    found = _sums(score, patients)
    as_high = 1
    for _ in range(n_draws):
        drawn = score.copy()
        for fold in np.unique(patients.fold):
            own = np.flatnonzero(patients.fold == fold)
            drawn[own] = score[rng.permutation(own)]
        as_high += int(_sums(drawn, patients)[0] >= found[0])
    return as_high / (n_draws + 1)


def _concordance(score: np.ndarray, patients: Followed, bootstrap: Bootstrap) -> Estimate:
    """Return Harrell's concordance of pairs within folds; the interval is over patients."""
    n = len(score)
    drawn = sum(
        event_pairs(rows, patients.time, patients.event, score).drawn(bootstrap.draws(n))
        for rows in _folds(patients)
    )
    return Resampled(n, [_sums(score, patients)], [drawn]).estimate(ratio)


def _sums(score: np.ndarray, patients: Followed) -> np.ndarray:
    """Return what pairs within folds earned, out of what, [2]."""
    parts = (
        event_pairs(rows, patients.time, patients.event, score).sums() for rows in _folds(patients)
    )
    return np.sum(list(parts), axis=0)


def _folds(patients: Followed) -> Iterator[np.ndarray]:
    for fold in np.unique(patients.fold):
        yield np.flatnonzero(patients.fold == fold)


def _join(
    split: Path, survival: Path, samples: Path, sample_ids: list[str], endpoint: str
) -> Followed:
    """Join samples of the request with folds and outcomes."""
    manifest = first_folds(split)
    fold_of = dict(zip(manifest["unit"].to_pylist(), manifest["fold"].to_pylist(), strict=True))
    columns = read_columns(samples, ["sample_id", "patient_id"])
    patient_of = dict(zip(columns["sample_id"], columns["patient_id"], strict=True))
    outcomes = read_outcomes(survival, endpoint)
    lost = [
        name for name in sample_ids if name not in fold_of or patient_of.get(name) not in outcomes
    ]
    if lost:
        raise InputError(
            f"{split}: sample '{lost[0]}' of the request has no fold or no {endpoint} any more; "
            "make the split and the request again"
        )
    own = [outcomes[patient_of[name]] for name in sample_ids]
    return Followed(
        manifest["dataset"][0].as_py(),
        np.array([each.cancer for each in own]),
        np.array([fold_of[name] for name in sample_ids]),
        np.array([each.time for each in own]),
        np.array([each.event for each in own]),
    )


def _expression(
    path: Path, sample_ids: list[str], gene_ids: list[str], columns: np.ndarray
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield each gene that the cohort measured, with values [n, 1]."""
    store = ExpressionStore(path)
    place = {name: row for row, name in enumerate(sample_ids)}
    store.rows(sample_ids)  # names a sample that is not there
    values = np.zeros((len(sample_ids), len(columns)), dtype=np.float32)
    for names, block in store.blocks():
        own = [row for row, name in enumerate(names) if name in place]
        if own:
            values[[place[names[row]] for row in own]] = block[own][:, columns]
    for number, gene in enumerate(gene_ids):
        if store.measured[columns[number]]:
            yield gene, values[:, [number]]


def _tokens(
    path: Path, sample_ids: list[str], gene_ids: list[str]
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield each gene that the model has a token of, with values [n, d]."""
    store = TokenStore(path)
    place = {name: row for row, name in enumerate(store.sample_ids)}
    absent = [name for name in sample_ids if name not in place]
    if absent or store.genes != gene_ids:
        raise InputError(f"{path}: tokens of other samples or genes; make them again")
    order = np.array([place[name] for name in sample_ids])
    for number, gene in enumerate(gene_ids):
        if store.known[number]:
            values = np.concatenate([tokens[:, number] for _, tokens in store.blocks()])
            yield gene, values[order].astype(np.float32)


if __name__ == "__main__":
    command(prognosis_genes)
