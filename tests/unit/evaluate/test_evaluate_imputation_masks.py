"""Kinds of masks: what each hides, and that all models meet the same one."""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bulkformer.errors import InputError
from bulkformer.evaluate.tasks.imputation_masks import (
    KINDS,
    Mask,
    TrainingGenes,
    dropout_weights,
    hidden_values,
    most_variable,
    plan,
    read_panel,
    read_training_genes,
)
from bulkformer.expression.vocabulary import SCHEMA

N_GENES = 400


@pytest.fixture
def training() -> TrainingGenes:
    rng = np.random.default_rng(3)
    mean = rng.uniform(0, 8, N_GENES).astype(np.float32)
    return TrainingGenes(mean, rng.uniform(0, 2, N_GENES), np.arange(N_GENES) < N_GENES - 20)


def samples(n: int = 12, kind: str = "study") -> pd.DataFrame:
    """Rows of a manifest: three samples a group."""
    return pd.DataFrame(
        {
            "unit": [f"s{i}" for i in range(n)],
            "group": [f"g{i // 3}" for i in range(n)],
            "group_kind": kind,
            "cohort": ["one" if i < 6 else "two" for i in range(n)],
        }
    )


def hidden(mask: Mask, training: TrainingGenes, rows: pd.DataFrame, **options) -> np.ndarray:
    may_hide = np.tile(training.ever_measured, (len(rows), 1))
    return hidden_values(mask, 0, 42, rows, may_hide, training, **options)


def test_a_whole_gene_is_absent_from_every_sample_of_a_study_and_of_no_other(training) -> None:
    rows = samples()
    found = hidden(Mask("whole_gene", 0.3, 1), training, rows)
    of_study = [found[rows["group"] == group] for group in rows["group"].unique()]
    assert all((block == block[0]).all() for block in of_study)
    assert len({block[0].tobytes() for block in of_study}) == 4
    assert (found.sum(axis=1) == round(0.3 * training.ever_measured.sum())).all()


def test_patients_of_a_cohort_lack_the_same_genes(training) -> None:
    rows = samples(kind="patient")
    found = hidden(Mask("whole_gene", 0.3, 1), training, rows)
    one, two = found[:6], found[6:]
    assert (one == one[0]).all()
    assert (two == two[0]).all()
    assert (one[0] != two[0]).any()


def test_weakly_expressed_values_are_lost_more_readily(training) -> None:
    found = hidden(Mask("low_expression", 0.3, 1), training, samples(600))
    order = np.argsort(training.mean[training.ever_measured])
    share = found[:, training.ever_measured].mean(axis=0)[order]
    by_fifth = [part.mean() for part in np.array_split(share, 5)]
    assert by_fifth == sorted(by_fifth, reverse=True)
    assert by_fifth[0] > 5 * by_fifth[-1]
    assert by_fifth[-1] > 0  # less readily, not never
    assert (found.sum(axis=1) == round(0.3 * training.ever_measured.sum())).all()
    weights = dropout_weights(training)
    median = np.argsort(training.mean[:-20])[190]
    assert weights[median] == pytest.approx(0.5, abs=0.01)


def test_only_the_genes_of_a_panel_stay_visible(training) -> None:
    panel = most_variable(training, 50)
    assert panel.sum() == 50
    assert training.spread[panel].min() > training.spread[training.ever_measured & ~panel].max()
    found = hidden(Mask("panel", 50, 1), training, samples(), panel=panel)
    assert (found == (training.ever_measured & ~panel)).all()


@pytest.mark.parametrize("kind", ["random", "whole_gene", "low_expression"])
def test_a_larger_share_hides_what_a_smaller_one_hides_whoever_else_is_tested(
    kind, training
) -> None:
    rows = samples()
    small, large = (hidden(Mask(kind, share, 1), training, rows) for share in (0.2, 0.6))
    assert (small <= large).all()
    assert not (large & ~training.ever_measured).any()
    alone = hidden(Mask(kind, 0.2, 1), training, rows.iloc[[7]])
    assert (alone[0] == small[7]).all()


def test_random_masks_are_repeated_and_the_others_drawn_once() -> None:
    panel = np.arange(10) < 3
    masks = plan(["panel", "random", "whole_gene"], [0.05, 0.5], 3, panel)
    assert [(mask.condition, mask.repeats) for mask in masks] == [
        ("random 5%", 3),
        ("random 50%", 3),
        ("whole gene 5%", 1),
        ("whole gene 50%", 1),
        ("panel 3 genes", 1),
    ]
    further = plan(["random", "whole_gene"], [0.05, 0.15, 0.5], 10, None, 3)
    assert [mask.repeats for mask in further] == [3, 10, 3, 1, 1, 1]
    assert [mask.repeats for mask in plan(["random"], [0.05, 0.15], 1, None, 3)] == [1, 1]
    with pytest.raises(InputError, match=r"'dropout' is unknown; known are random, whole_gene"):
        plan(["dropout"], [0.1], 1, None)
    with pytest.raises(InputError, match="no panel is given"):
        plan(list(KINDS), [0.1], 1, None)


@pytest.fixture
def vocabulary(tmp_path: Path) -> Path:
    n = 6
    columns = {name: [None] * n for name in SCHEMA.names} | {
        "gene_id": [f"ENSG{i:011d}" for i in range(n)],
        "symbol": [f"GENE{i}" for i in range(n)],
        "entrez": [str(100 + i) for i in range(n)],
        "length_bp": [1000] * n,
        **{name: [[]] * n for name in ("other_entrez", "aliases", "ambiguous")},
    }
    path = tmp_path / "genes.parquet"
    pq.write_table(pa.table([columns[name] for name in SCHEMA.names], schema=SCHEMA), path)
    return path


LISTS = {
    "ids": "gene_id\tsymbol\nENSG00000000001.4\tx\nENSG00000000004\ty\n",
    "symbols": "# a panel\nGENE1\nGENE4\nUNHEARD\n",
    "gene_info": "pr_gene_id\tpr_gene_symbol\tpr_is_lm\n101\tG1\t1\n103\tG3\t0\n104\tG4\t1\n",
}


@pytest.mark.parametrize("form", LISTS)
def test_a_panel_may_be_ids_symbols_or_the_landmarks_of_l1000(form, vocabulary, tmp_path) -> None:
    path = tmp_path / "panel.txt.gz"
    path.write_bytes(gzip.compress(LISTS[form].encode()))
    assert np.flatnonzero(read_panel(path, vocabulary)).tolist() == [1, 4]


def test_a_panel_of_other_genes_is_an_error(vocabulary, tmp_path) -> None:
    path = tmp_path / "panel.txt"
    path.write_text("BRCA1\nTP53\nGENE1\n")
    with pytest.raises(InputError, match=r"panel.txt: 1 of 3 genes are in the vocabulary"):
        read_panel(path, vocabulary)
    with pytest.raises(InputError, match="not a readable list"):
        read_panel(tmp_path / "absent.txt", vocabulary)


def test_a_fit_without_spreads_is_told_to_be_made_again(world, tmp_path) -> None:
    with pytest.raises(InputError, match="fit gene_mean again"):
        read_training_genes(tmp_path / "absent.safetensors", 60)
