"""Lines of one patient, lines derived from one another and whole lineages are never parted."""

import json
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from essentiality_world import LINEAGES, Lines, read_predictions

from bulkformer.errors import InputError
from bulkformer.evaluate.tasks import gene_essentiality_data


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return Lines(tmp_path_factory.mktemp("lines"))


@pytest.fixture(scope="module")
def manifest(world):
    return pq.read_table(world.split).to_pandas()


def folds(manifest, regime, repeat=0):
    rows = manifest[(manifest["regime"] == regime) & (manifest["repeat"] == repeat)]
    return rows.set_index("unit")["fold"]


def test_no_patient_lies_in_two_strict_folds(world, manifest):
    for regime in ("held_out_lines", "held_out_lineages"):
        fold = folds(manifest, regime)
        assert len(fold) == world.n
        patient = pd.Series(world.patient, [f"S-{line}" for line in world.lines])
        assert fold.groupby(patient).nunique().max() == 1
    legacy = folds(manifest, "random_folds")
    assert legacy.groupby(patient).nunique().max() == 2  # the paper's folds part sisters


def test_a_line_joins_its_parent_also_under_another_patient(tmp_path):
    world = Lines(tmp_path)
    world.patient[9] = "PT-of-its-own"
    world.write_lines()
    fold = folds(pq.read_table(world.split).to_pandas(), "held_out_lines")
    assert fold[f"S-{world.lines[9]}"] == fold[f"S-{world.lines[8]}"]


def test_folds_of_patients_are_balanced_over_lineages(world, manifest):
    fold = folds(manifest, "held_out_lines")
    lineage = pd.Series(world.lineage, [f"S-{line}" for line in world.lines])
    counts = pd.crosstab(lineage[fold.index], fold)
    assert counts.shape == (len(LINEAGES), world.settings["strict"]["folds"])
    assert (counts.max(axis=1) - counts.min(axis=1)).max() <= 3
    again = folds(manifest, "held_out_lines", repeat=1)
    assert (fold[again.index] != again).any()


def test_a_lineage_lies_in_one_fold_of_lineages(world, manifest):
    fold = folds(manifest, "held_out_lineages")
    lineage = pd.Series(world.lineage, [f"S-{line}" for line in world.lines])
    assert fold.groupby(lineage[fold.index]).nunique().max() == 1
    assert fold.nunique() == world.settings["strict"]["lineage_folds"]


def test_a_patient_with_lines_of_two_lineages_joins_them(tmp_path):
    world = Lines(tmp_path)
    world.lineage[9] = next(name for name in LINEAGES if name != world.lineage[8])
    world.write_lines()
    fold = folds(pq.read_table(world.split).to_pandas(), "held_out_lineages")
    assert fold[f"S-{world.lines[9]}"] == fold[f"S-{world.lines[8]}"]


def test_every_gene_is_held_out_once_and_asked_for_in_the_tokens(world, manifest):
    assert sorted(folds(manifest, "held_out_genes").index) == world.genes
    request = json.loads((world.root / "tokens.json").read_text())
    assert request["genes"] == world.genes
    assert len(request["samples"]) == world.n


def test_tokens_of_fewer_genes_are_asked_for_by_a_fixed_choice(tmp_path):
    chosen = []
    for folder in "ab":
        world = Lines(tmp_path / folder, n=40)
        world.settings["token_genes"] = 12
        fold = folds(pq.read_table(world.split).to_pandas(), "held_out_genes")
        request = json.loads((world.root / "tokens.json").read_text())
        assert sorted(fold.index) == request["genes"]
        chosen.append(request["genes"])
    assert chosen[0] == chosen[1]
    assert len(chosen[0]) == 12


def test_a_line_with_two_samples_is_tested_once(tmp_path):
    world = Lines(tmp_path, n=40)
    samples = pd.read_parquet(tmp_path / "samples.parquet")
    twice = pd.concat([samples, samples.head(3).assign(sample_id=["Z1", "Z2", "Z3"])])
    twice.to_parquet(tmp_path / "samples.parquet")
    fold = folds(pq.read_table(world.split).to_pandas(), "held_out_lines")
    assert len(fold) == 40
    assert "Z1" not in fold.index


def test_a_cohort_without_known_lines_is_named(tmp_path):
    world = Lines(tmp_path, n=40)
    samples = pd.read_parquet(tmp_path / "samples.parquet")
    samples.assign(cell_line_id=None).to_parquet(tmp_path / "samples.parquet")
    with pytest.raises(InputError, match=r"samples\.parquet: none of its 40 samples"):
        _ = world.split


def test_a_line_of_unknown_lineage_neither_trains_nor_is_tested_where_lineages_are_held_out(
    tmp_path, capsys
):
    """It could be of the lineage that is held out: nothing of it may change a prediction."""
    world = Lines(tmp_path, n=60)
    world.lineage = world.lineage.astype(object)
    world.lineage[[3, 17]] = None
    world.write_lines()
    unknown = {f"S-{world.lines[row]}" for row in (3, 17)}
    manifest = pq.read_table(world.split).to_pandas()
    assert not unknown & set(folds(manifest, "held_out_lineages").index)
    assert unknown < set(folds(manifest, "held_out_lines").index)
    assert "left out 2 of 60 cell lines, whose lineage is not known" in capsys.readouterr().err
    before = read_predictions(world.predict("ridge"))
    world.effects[[3, 17]] += 100
    world.write_dependency(world.effects)
    after = read_predictions(world.predict("ridge"))
    told = [rows[rows["regime"] == "held_out_lineages"]["y_pred"] for rows in (before, after)]
    assert told[0].tolist() == told[1].tolist()
    told = [rows[rows["regime"] == "held_out_lines"]["y_pred"] for rows in (before, after)]
    assert told[0].tolist() != told[1].tolist()


def test_a_manifest_without_lines_is_named(world):
    table = pq.read_table(world.split)
    of_genes = table.filter([kind == "gene" for kind in table["group_kind"].to_pylist()])
    with pytest.raises(InputError, match=r"folds\.parquet: holds no line"):
        gene_essentiality_data.tested_lines(of_genes, Path("folds.parquet"))
