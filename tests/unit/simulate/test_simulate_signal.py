"""The planted signal is strong enough to be found and weak enough to leave room for error."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline

from bulkformer.simulate.annotation import draw_annotation
from bulkformer.simulate.cohorts import (
    draw_biology,
    draw_corpus,
    draw_gtex,
    draw_series,
    draw_tcga,
)
from bulkformer.simulate.counts import draw_abundance, draw_counts
from bulkformer.simulate.programs import draw_programs
from bulkformer.simulate.recovery import correlation_auroc
from bulkformer.simulate.universe import STUDY_SPREAD

PROGRAMS = 8


class World:
    """Genes and programs of one universe, and ln(TPM + 1) of cohorts in it."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(11)
        self.annotation = draw_annotation(480, self.rng)
        self.programs = draw_programs(self.annotation.coding, PROGRAMS, self.rng)
        self.abundance = draw_abundance(self.annotation, self.rng)
        self.biology = draw_biology(PROGRAMS, self.rng)

    def counts(self, cohort):
        spread = STUDY_SPREAD[cohort.name]
        return draw_counts(cohort, self.annotation, self.programs, self.abundance, spread, self.rng)

    def log_tpm(self, counts):
        coding = self.annotation.coding
        per_base = counts[:, coding] / self.annotation.length_bp[coding]
        return np.log1p(per_base / per_base.sum(axis=1, keepdims=True) * 1e6)


@pytest.fixture(scope="module")
def world():
    return World()


@pytest.fixture(scope="module")
def corpus(world):
    cohort = draw_corpus(24, 300, world.biology, world.rng)
    good = [row for row, sample in enumerate(cohort.samples) if not sample.flaw]
    counts = world.counts(cohort)[good]
    study = np.array([cohort.samples[row].study_id for row in good])
    return counts, world.log_tpm(counts), study


@pytest.fixture(scope="module")
def split(corpus):
    """Training samples, and the samples of studies that took no part in training."""
    _, log_tpm, study = corpus
    held_out = np.isin(study, np.unique(study)[::6])
    return log_tpm[~held_out], log_tpm[held_out]


@pytest.fixture(scope="module")
def planted(world):
    index = np.cumsum(world.annotation.coding) - 1
    matrix = np.zeros((480, 480), dtype=bool)
    matrix[index[world.programs.source], index[world.programs.target]] = True
    return matrix | matrix.T


def predict_hidden(train, test, components=50):
    """Predict each gene of `test` from 85 % of the others through principal components."""
    mean = train.mean(axis=0)
    pca = PCA(components, svd_solver="full").fit(train)
    axes, variance = pca.components_.T, pca.explained_variance_
    predicted = np.empty_like(test)
    for hidden in np.array_split(np.random.default_rng(0).permutation(len(mean)), 7):
        visible = np.setdiff1d(np.arange(len(mean)), hidden)
        seen = axes[visible]
        system = seen.T @ seen + np.diag(pca.noise_variance_ / variance)
        scores = np.linalg.solve(system, seen.T @ (test[:, visible] - mean[visible]).T).T
        predicted[:, hidden] = scores @ axes[hidden].T + mean[hidden]
    return predicted


def test_correlated_genes_are_planted_neighbours(split, planted):
    train, _ = split
    everywhere = np.ones(480, dtype=bool)
    assert correlation_auroc(train, planted, everywhere) > 0.9


def test_a_coexpression_graph_is_far_better_than_chance(split, planted):
    train, _ = split
    varying = train.std(axis=0) > 0
    correlation = np.zeros((480, 480))
    correlation[np.ix_(varying, varying)] = np.abs(np.corrcoef(train[:, varying].T))
    np.fill_diagonal(correlation, 0)
    nearest = np.argsort(-correlation, axis=1)[:, :20]
    edges = np.zeros_like(planted)
    np.put_along_axis(edges, nearest, True, axis=1)
    edges &= correlation >= 0.4
    edges |= edges.T
    assert planted[edges].mean() > 0.25
    assert planted[edges].mean() > 10 * planted.mean()
    assert edges[planted].mean() > 0.75
    pairs = np.triu_indices(480, k=1)
    assert roc_auc_score(planted[pairs], np.where(edges, correlation, 0)[pairs]) > 0.85


def test_hidden_genes_of_unseen_studies_follow_from_visible_ones_but_not_exactly(split):
    train, test = split
    predicted, mean = predict_hidden(train, test), train.mean(axis=0)
    skill = 1 - ((predicted - test) ** 2).sum() / ((test - mean) ** 2).sum()
    varying = test.std(axis=0) > 0
    per_gene = [np.corrcoef(predicted[:, g], test[:, g])[0, 1] for g in np.flatnonzero(varying)]
    assert 0.4 < skill < 0.7
    assert 0.6 < np.mean(per_gene) < 0.85


def test_the_gene_mean_alone_has_a_high_pooled_correlation(split):
    train, test = split
    guess = np.tile(train.mean(axis=0), (len(test), 1))
    assert 0.8 < np.corrcoef(guess.ravel(), test.ravel())[0, 1] < 0.97


def test_unseen_studies_are_harder_than_unseen_samples_of_known_studies(corpus):
    _, log_tpm, study = corpus
    errors = {}
    by_study = np.isin(study, np.unique(study)[::4])
    at_random = np.random.default_rng(0).permutation(by_study)
    for name, held_out in {"study": by_study, "sample": at_random}.items():
        train, test = log_tpm[~held_out], log_tpm[held_out]
        errors[name] = ((predict_hidden(train, test) - test) ** 2).mean()
    assert errors["study"] > 1.05 * errors["sample"]


def test_counts_vary_more_than_poisson_and_weak_genes_drop_out(world, corpus):
    counts, log_tpm, study = corpus
    one_study = counts[study == study[0]].astype(float)
    mean, variance = one_study.mean(axis=0), one_study.var(axis=0)
    assert np.median(variance[mean > 100] / mean[mean > 100]) > 10
    zeros = (counts == 0).mean(axis=0)
    weak = counts.mean(axis=0) < 2
    assert zeros[weak].mean() > 0.5 > 0.01 > zeros[counts.mean(axis=0) > 100].mean()
    assert 0.01 < (log_tpm == 0).mean() < 0.2


def test_cases_differ_from_controls_within_series_they_were_not_learned_from(world):
    cohort = draw_series(96, world.biology, world.rng)
    log_tpm = world.log_tpm(world.counts(cohort))
    series = np.array([sample.study_id for sample in cohort.samples])
    is_case = np.array([sample.disease != "control" for sample in cohort.samples])
    disease = np.array([sample.study_id[-1] in "135" for sample in cohort.samples])
    auroc = []
    for held_out in np.unique(series[disease]):
        train, test = disease & (series != held_out), series == held_out
        model = make_pipeline(PCA(10, svd_solver="full"), LogisticRegression(max_iter=1000))
        model.fit(log_tpm[train], is_case[train])
        auroc.append(roc_auc_score(is_case[test], model.decision_function(log_tpm[test])))
    assert 0.6 < np.mean(auroc) <= 1


def test_aliquots_of_one_specimen_resemble_each_other(world):
    cohort = draw_tcga(32, world.biology, world.rng)
    rows = {}
    for row, sample in enumerate(cohort.samples):
        rows.setdefault((sample.patient_id, sample.disease), []).append(row)
    one, other = next(pair for pair in rows.values() if len(pair) == 2)
    distance = np.abs(cohort.activity - cohort.activity[one]).mean(axis=(1, 2))
    distance[one] = np.inf
    assert distance.argmin() == other


def test_normal_samples_of_gtex_cover_its_tissues_evenly(world):
    cohort = draw_gtex(60, world.biology, world.rng)
    tissues = [sample.tissue for sample in cohort.samples]
    assert {tissue: tissues.count(tissue) for tissue in set(tissues)} == dict.fromkeys(
        ["blood", "brain", "liver", "lung", "stomach"], 12
    )
    assert len({sample.patient_id for sample in cohort.samples}) == 20
