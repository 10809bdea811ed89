"""Every model meets one named simple model and the null on the same units, with one sentence."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from scipy import stats

from bulkformer.errors import InputError
from bulkformer.evaluate.comparison_sentences import plural
from bulkformer.evaluate.comparisons import COMPARISONS, comparisons
from bulkformer.evaluate.task import load_task
from bulkformer.evaluate.units import UnitScores, write_units

KINDS = {
    "bulkformer": "foundation",
    "bulkformer_random": "control",
    "ridge": "classical",
    "pca": "classical",
    "gene_mean": "baseline",
}
TASKS = ["imputation", "imputation_differential", "disease_annotation", "prognosis"]
TASKS += ["drug_response", "perturbation", "gene_essentiality"]
STUDIES = [f"GSE{i:02d}" for i in range(40)]
PLACE = {"dataset": "corpus", "regime": "held_out_groups", "condition": "random 15%"}


def skill(mean: float, seed: int, units: list[str] = STUDIES) -> UnitScores:
    """Skill of every study: differs by study far more than by model."""
    study = np.random.default_rng(1).normal(0, 0.3, len(units))
    own = np.random.default_rng(seed).normal(mean, 0.02, len(units))
    return UnitScores(metric="mse_skill", unit_kind="study", unit=units, value=study + own, **PLACE)


def compare(
    folder: Path,
    scores: dict[str, list[UnitScores]],
    values: dict[str, float],
    *,
    task: str = "imputation",
    metric: tuple[str, str] = ("mse_skill", "pooled"),
    references: dict[str, str] | None = None,
    states: dict[str, str] | None = None,
) -> pd.DataFrame:
    """Write units and metrics of models, compare them, and return the table."""
    folder.mkdir(parents=True, exist_ok=True)
    paths, rows = [], []
    for model, parts in scores.items():
        paths.append(folder / f"{model}.parquet")
        of = {"task": task, "protocol": "strict", "model": model}
        write_units(paths[-1], of, parts)
        more = {"metric": metric[0], "aggregation": metric[1], "value": values[model]}
        more |= {"exposure": (states or {}).get(model, "clean"), "n": 100, "gene_coverage": 1.0}
        more |= dict.fromkeys(["group", "fold", "repeat"])
        for part in parts:
            where = ("dataset", "regime", "condition", "head")
            rows.append(of | {name: getattr(part, name) for name in where} | more)
    pd.DataFrame(rows).to_parquet(folder / "metrics.parquet")
    output = folder / "comparisons.parquet"
    comparisons(
        folder / "metrics.parquet", paths, json.dumps(KINDS), 200, 999, 42, output,
        [f"{task}={model}" for task, model in (references or {}).items()],
    )  # fmt: skip
    assert pq.read_schema(output).equals(COMPARISONS)
    return pd.read_parquet(output)


MODELS = {
    "bulkformer": [skill(0.40, 2)],
    "bulkformer_random": [skill(0.05, 3)],
    "ridge": [skill(0.30, 4)],
    "pca": [skill(0.298, 5)],
    "gene_mean": [skill(0.0, 6)],
}
VALUES = {"bulkformer": 0.4, "bulkformer_random": 0.05, "ridge": 0.3, "pca": 0.28, "gene_mean": 0.0}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    return compare(tmp_path_factory.mktemp("compared"), MODELS, VALUES)


def of(table: pd.DataFrame, model: str, role: str = "reference") -> pd.Series:
    rows = table[(table["model"] == model) & (table["role"] == role)]
    assert len(rows) == 1
    return rows.iloc[0]


def test_the_reference_is_the_best_simple_model_and_never_a_foundation_model(
    found: pd.DataFrame,
) -> None:
    opponents = found.groupby("role")["opponent"].unique()
    assert opponents["reference"].tolist() == ["ridge"]
    assert opponents["null"].tolist() == ["gene_mean"]
    assert set(found.loc[found["role"] == "reference", "model"]) == set(MODELS) - {"ridge"}


def test_a_planted_difference_is_found_with_its_size_and_direction(found: pd.DataFrame) -> None:
    row = of(found, "bulkformer")
    assert row["verdict"] == "better"
    assert row["mean_low"] < 0.10 < row["mean_high"]
    assert row["win_rate"] > 0.95
    assert row["sentence"].startswith(
        "bulkformer is better than ridge by mse skill: mean difference"
    )
    assert of(found, "bulkformer_random")["verdict"] == "worse"


def test_the_null_is_said_to_know_what_it_knows_under_the_protocol(found: pd.DataFrame) -> None:
    row = of(found, "bulkformer", "null")
    known = "knows the mean of each gene and nothing of the sample"
    assert f"than gene_mean (which {known}) by mse skill" in row["sentence"]
    assert row["opponent_rule"].endswith(known)
    assert "which knows" not in of(found, "bulkformer")["sentence"]


@pytest.mark.parametrize("protocol", ["legacy", "strict"])
def test_every_task_says_of_its_null_what_it_knows(protocol: str) -> None:
    for name in TASKS:
        task = load_task(name)
        assert task.null_knows[protocol].startswith("knows "), name
    # Who knows the cancer of a patient is no ignorant opponent where cancers are pooled.
    by_protocol = load_task("prognosis").null_knows
    assert by_protocol["legacy"] != by_protocol["strict"]


def test_models_that_do_not_differ_are_said_not_to_have_been_shown_to(found: pd.DataFrame) -> None:
    row = of(found, "pca")
    assert row["verdict"] == "no_difference_shown"
    assert row["sentence"].startswith("No difference shown between pca and ridge")


def test_numbers_are_those_of_scipy_on_the_same_pairs(found: pd.DataFrame) -> None:
    row = of(found, "bulkformer", "null")
    pair = MODELS["bulkformer"][0].value - MODELS["gene_mean"][0].value
    assert row["p_wilcoxon"] == pytest.approx(stats.wilcoxon(pair).pvalue)
    assert row["mean_difference"] == pytest.approx(pair.mean())
    assert row["median_difference"] == pytest.approx(np.median(pair))
    assert row["value_opponent"] == pytest.approx(MODELS["gene_mean"][0].value.mean())


def test_the_primary_family_is_of_foundation_models_in_the_declared_headline(
    tmp_path: Path,
) -> None:
    def everywhere(mean: float, seed: int) -> list[UnitScores]:
        here = skill(mean, seed)
        return [here, replace(here, condition="random 50%"), replace(here, dataset="tcga")]

    scores = {name: everywhere(mean, n) for n, (name, mean) in enumerate(VALUES.items())}
    table = compare(tmp_path, scores, VALUES)
    family = table[table["primary"]]
    assert set(family["model"]) == {"bulkformer"}
    assert set(family["condition"]) == {"random 15%"}
    # One family a dataset and role: nothing else takes part in it.
    assert set(family["n_family"]) == {1}
    assert set(family["correction"]) == {"holm"}
    np.testing.assert_allclose(family["p_adjusted"], family["p_wilcoxon"])
    assert set(table.loc[~table["primary"], "correction"]) == {"benjamini_hochberg"}


def test_several_foundation_models_share_one_family_that_holm_corrects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(KINDS, "pca", "foundation")
    family = compare(tmp_path, MODELS, VALUES).query("primary and role == 'reference'")
    assert set(family["model"]) == {"bulkformer", "pca"}
    least = family.sort_values("p_wilcoxon").iloc[0]
    assert least["p_adjusted"] == pytest.approx(2 * least["p_wilcoxon"])


def test_other_scores_are_corrected_by_benjamini_and_hochberg(tmp_path: Path) -> None:
    genes = [f"ENSG{i}" for i in range(30)]
    values = {"bulkformer": 0.3, "ridge": 0.2, "pca": 0.1, "gene_mean": 0.0}
    scores = {
        model: [
            skill(value, 2),
            UnitScores(
                metric="per_gene_pearson_deviation",
                unit_kind="gene",
                unit=genes,
                value=np.random.default_rng(i).normal(value, 0.2, 30),
                **PLACE,
            ),
        ]
        for i, (model, value) in enumerate(values.items())
    }
    table = compare(tmp_path, scores, values)
    own = table[(table["unit_kind"] == "gene") & (table["role"] == "null")]
    assert set(own["correction"]) == {"benjamini_hochberg"}
    assert not own["primary"].any()
    expected = stats.false_discovery_control(own["p_wilcoxon"])
    np.testing.assert_allclose(own["p_adjusted"], expected)


def test_only_units_that_both_models_have_are_compared_and_all_are_counted(tmp_path: Path) -> None:
    scores = {"bulkformer": [skill(0.4, 2, STUDIES[:30])], "ridge": [skill(0.3, 4, STUDIES[10:])]}
    row = of(compare(tmp_path, scores, VALUES), "bulkformer")
    assert (row["n_units"], row["n_units_model"], row["n_units_opponent"]) == (20, 30, 30)


def test_repeats_of_a_unit_are_no_further_units(tmp_path: Path) -> None:
    def twice(mean: float, seed: int) -> list[UnitScores]:
        return [replace(skill(mean, seed + n), repeat=n) for n in (0, 1)]

    scores = {"bulkformer": twice(0.4, 2), "ridge": twice(0.3, 8)}
    row = of(compare(tmp_path, scores, VALUES), "bulkformer")
    assert row["n_units"] == len(STUDIES)
    pair = np.mean([a.value - b.value for a, b in zip(*scores.values(), strict=True)], axis=0)
    assert row["p_wilcoxon"] == pytest.approx(stats.wilcoxon(pair).pvalue)


def test_few_units_are_too_few_to_decide(tmp_path: Path) -> None:
    scores = {"bulkformer": [skill(0.9, 2, STUDIES[:4])], "ridge": [skill(0.1, 4, STUDIES[:4])]}
    row = of(compare(tmp_path, scores, VALUES), "bulkformer")
    assert row["verdict"] == "too_few_units"
    assert np.isnan(row["p_adjusted"])
    assert row["sentence"].startswith("Too few to decide: bulkformer against ridge, mse skill on 4")


def test_units_that_all_agree_and_cannot_outweigh_the_correction_are_too_few(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Six units reach p = 0.031 at best, which a second comparison of the family already doubles.
    monkeypatch.setitem(KINDS, "bulkformer_random", "foundation")
    scores = {name: [skill(0.1 * n, n, STUDIES[:6])] for n, name in enumerate(MODELS)}
    row = of(compare(tmp_path, scores, VALUES | {"ridge": 0.9}), "bulkformer_random", "null")
    assert row["p_wilcoxon"] == pytest.approx(2 / 2**6)
    assert row["p_adjusted"] > 0.05
    assert row["verdict"] == "too_few_units"
    assert row["sentence"].startswith("Too few to decide")


def test_what_a_model_had_seen_stands_in_the_sentence(tmp_path: Path) -> None:
    table = compare(tmp_path, MODELS, VALUES, states={"bulkformer": "seen_in_graph"})
    row = of(table, "bulkformer")
    assert row["exposure"] == "seen_in_graph"
    assert row["sentence"].endswith("bulkformer has a gene graph made from these samples.")
    assert "has a gene graph" not in of(table, "pca")["sentence"]


def folds(model: str, value: float, head: str | None) -> list[UnitScores]:
    noise = np.random.default_rng(len(model)).normal(value, 0.01, (3, 5))
    place = {"dataset": "d", "regime": "patient", "metric": "macro_f1", "unit_kind": "fold"}
    names = [str(fold) for fold in range(5)]
    return [
        UnitScores(unit=names, value=noise[repeat], head=head, repeat=repeat, **place)
        for repeat in range(3)
    ]


def test_folds_are_paired_by_repeat_and_decided_by_the_corrected_t(tmp_path: Path) -> None:
    values = {"bulkformer": 0.6, "pca": 0.55}
    scores = {model: folds(model, value, "random_forest") for model, value in values.items()}
    metric = ("macro_f1", "pooled")
    row = of(
        compare(tmp_path, scores, values, task="disease_annotation", metric=metric), "bulkformer"
    )
    ours, theirs = (np.concatenate([part.value for part in scores[m]]) for m in values)
    pair = ours - theirs
    error = np.sqrt(pair.var(ddof=1) * (1 / 15 + 1 / 4))
    assert row["n_units"] == 15
    assert row["decided_by"] == "corrected_t"
    assert row["p_adjusted"] == pytest.approx(2 * stats.t.sf(abs(pair.mean()) / error, 14))
    assert "bulkformer with random_forest" in row["sentence"]


def test_the_configuration_may_name_the_reference_if_it_is_a_simple_model(tmp_path: Path) -> None:
    table = compare(tmp_path, MODELS, VALUES, references={"imputation": "pca"})
    assert set(table.loc[table["role"] == "reference", "opponent"]) == {"pca"}
    assert "named in the configuration" in of(table, "ridge")["opponent_rule"]
    with pytest.raises(
        InputError, match=r"references, imputation: 'bulkformer' is no model of kind"
    ):
        compare(tmp_path, MODELS, VALUES, references={"imputation": "bulkformer"})


def test_the_order_of_files_changes_no_byte(tmp_path: Path) -> None:
    compare(tmp_path / "one", MODELS, VALUES)
    compare(tmp_path / "two", dict(reversed(MODELS.items())), VALUES)
    one, two = (tmp_path / name / "comparisons.parquet" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


def test_no_scores_of_units_make_an_empty_table(tmp_path: Path) -> None:
    empty = UnitScores(metric="mse_skill", unit_kind="study", unit=[], value=np.array([]), **PLACE)
    assert compare(tmp_path, {"ridge": [empty]}, VALUES).empty


@pytest.mark.parametrize(
    ("kind", "n", "words"),
    [("study", 3, "studies"), ("patient", 1, "patient"), ("plates", 12, "plates")],
)
def test_units_are_named_as_a_reader_would(kind: str, n: int, words: str) -> None:
    assert plural(kind, n) == words
