"""The page about the model: complete, self-contained, and every sentence follows from a number."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from report_mock_model import write_model
from test_report_page import Document

from bulkformer.errors import InputError
from bulkformer.report.model import banners, model
from bulkformer.report.model_inputs import read_inputs
from bulkformer.report.model_map import short_name
from bulkformer.report.model_readings import says


@pytest.fixture
def arguments(tmp_path):
    return write_model(tmp_path)


def page_of(arguments):
    model(**arguments)
    return arguments["page"].read_text()


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Inputs that no test changes."""
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def page(written):
    return page_of(written)


@pytest.fixture(scope="module")
def document(page):
    return Document(page)


def words(text):
    return " ".join(text.split())


def change(path, **columns):
    """Change columns of a table in the validation rows at the share of training."""
    table = pd.read_parquet(path)
    rows = (table["split"] == "validation") & (table["mask_fraction"] == 0.15)
    for name, value in columns.items():
        table.loc[rows, name] = value
    table.to_parquet(path)


def update(path, **content):
    path.write_text(json.dumps(json.loads(path.read_text()) | content))


def readings(arguments):
    paths = [arguments[name] for name in ("run", "assessment", "corpus")]
    return " ".join(f"{each.text} {each.basis}" for each in says(read_inputs(*paths, False, None)))


def test_the_page_is_well_formed_and_stands_alone(document, page):
    assert document.open == []
    assert [name for name, times in document.ids.items() if times > 1] == []
    outside = {
        target
        for _, _, target in document.links
        if not target.startswith(("#", "data:image/png;base64,"))
    }
    assert outside == {"index.html", "data.html"}  # the other pages of the same folder
    assert not re.search(r"@import|fetch\(|XMLHttpRequest", page)
    inside = {target[1:] for _, _, target in document.links if target.startswith("#")}
    assert inside <= set(document.ids)


def test_every_figure_has_a_caption_and_a_text_for_those_who_cannot_see_it(document, page):
    assert document.tags["figure"] == document.tags["figcaption"] == document.tags["svg"] == 5
    for figure in re.findall(r"<svg.*?</svg>", page, flags=re.S):
        name = re.search(r'aria-labelledby="([^"]+)"', figure)[1]
        assert re.search(rf'<title id="{name}">[^<]{{20,}}</title>', figure)


def test_a_map_of_twenty_thousand_genes_keeps_the_page_small(tmp_path):
    assert len(page_of(write_model(tmp_path, genes=20_000)).encode()) < 3_000_000


def test_the_header_says_which_model_this_is(page, document):
    text = words(document.sections[""])
    for part in (
        "bulkformer_37m", "variant paper", "133,420", "trained here", "9,876",
        "of the graph coexpression", "360", "240 for training", "245.0 h", "0.1.0",
    ):  # fmt: skip
        assert part in text


def test_accuracy_is_shown_by_split_and_share(document):
    text = words(document.sections["masks"])
    assert (
        "15% nearest to training 90,300 42 samples 0.728 1.234 0.410 [0.360, 0.460] 7 groups"
        in text
    )


def test_losses_at_the_kept_and_the_last_step_are_those_of_the_history(written, document):
    history = pd.read_parquet(written["run"] / "history.parquet")
    looks = history[(history["split"] == "validation") & (history["mask_fraction"] == 0.5)]
    kept, last = (looks.loc[looks["step"] == step, "loss"].iloc[0] for step in (870, 900))
    text = words(document.sections["masks"])
    assert f"−2.500 [−2.550, −2.450] 7 groups 0.613 280 genes {kept:.3f} {last:.3f}" in text


def test_the_best_and_the_worst_genes_are_those_with_the_highest_and_lowest_correlation(document):
    text = words(document.sections["genes"])
    best, worst = text.split("Worst predicted")
    assert "GENE0 ENSG00000000000 0.980 0.880" in best
    assert "GENE299 ENSG00000000299 −0.600 −0.700" in worst
    assert "GENE1 " not in text  # never expressed: it has no correlation


def test_each_cluster_has_its_best_set_or_says_that_there_is_none(document):
    text = words(document.sections["map"])
    assert "0 50 3.210 HALLMARK_SET_0 17 of 40 6.7 2.5e−9 1" in text
    assert "5 50 3.210 — no set is enriched — — — 0" in text


def test_sources_that_learned_nothing_stand_beside_the_network(document):
    text = words(document.sections["map"])
    of_map = "gene vectors of the network, in samples on the map 5 of 5 5 of 6 0.420 2.5 times"
    assert f"{of_map} chance 0.520" in text
    assert (
        "with genes exchanged at random 0.2 of 5 0.2 of 6 0.168 1.0 times chance 0.268 0.167"
        in text
    )
    marked = [words(row) for mark, row in document.rows if mark == "floor"]
    assert len(marked) == 4
    assert not any(row.startswith("gene ") for row in marked)


def test_the_cost_says_device_hours_speed_and_operations(document):
    text = words(document.sections["cost"])
    assert "NVIDIA H100 80GB HBM3 4 16 900 61.2 245.0 812.5 71.300 41.3%" in text
    for part in ("starts of the run 2", "samples seen 7,200", "123.40 GFLOP", "0.888 PFLOP"):
        assert part in text


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.1, 0.3, "The model beats the gene mean on studies kept apart"),
        (-0.3, -0.1, "The model does not beat the gene mean on studies kept apart"),
        (-0.1, 0.1, "The model cannot be told from the gene mean on studies kept apart"),
        (None, None, "On studies kept apart there are too few groups of samples"),
    ],
)
def test_the_verdict_on_the_gene_mean_rests_on_the_interval(arguments, low, high, said):
    change(arguments["assessment"] / "accuracy.parquet", ci_low=low, ci_high=high)
    assert said in readings(arguments)


def test_known_studies_are_called_easier_only_if_the_intervals_lie_apart(arguments):
    assert "no difference can be shown" in readings(arguments)
    change(arguments["assessment"] / "accuracy.parquet", ci_low=0.1, ci_high=0.2)
    assert "It knows studies that it trained on better than new ones." in readings(arguments)


def test_shares_at_which_the_model_is_worse_are_named(arguments):
    text = readings(arguments)
    assert "better than the gene mean with 5% and 15% of genes hidden, worse with 50%" in text
    assert "better than their mean for 251 of 287 genes" in text
    assert "not better in the tenths 1 by expression" in text
    assert "9 of 280 genes are predicted the wrong way round" in text


@pytest.mark.parametrize(
    ("best", "said"), [(870, "lowest at the end"), (400, "lowest before the end")]
)
def test_a_run_that_had_not_ended_learning_is_told_from_one_that_had(arguments, best, said):
    update(arguments["run"] / "provenance.json", best_step=best)
    assert said in readings(arguments)


def test_a_map_that_is_no_better_than_what_went_in_is_said_to_be_so(arguments):
    assert "no more often" not in readings(arguments)
    path = arguments["assessment"] / "controls.parquet"
    table = pd.read_parquet(path)
    table.loc[table["source"] == "principal_components", "set_pairs_over_chance"] = 3.6
    table.to_parquet(path)
    text = readings(arguments)
    assert "no more often than by principal components of the training samples (3.6 times)" in text
    assert "more often than by the same network with random weights (1.1 times)" in text


def test_weights_from_elsewhere_have_no_curve_and_no_cost(arguments):
    path = arguments["run"] / "history.parquet"
    pd.read_parquet(path).iloc[:0].to_parquet(path)
    learning = arguments["assessment"] / "learning.parquet"
    pd.read_parquet(learning).iloc[:0].to_parquet(learning)
    update(arguments["assessment"] / "assessment.json", mode="released", cost=None)
    files = {"BulkFormer-37M.pt": {"bytes": 12, "sha256": "ab" * 32}}
    arguments["run"].joinpath("provenance.json").write_text(json.dumps({"files": files}))
    document = Document(page_of(arguments))
    assert document.tags["svg"] == 4
    assert "released weights" in document.sections[""]
    assert "Not trained here" in document.sections[""]
    for section in ("learning", "cost"):
        assert "these weights came from elsewhere" in document.sections[section]
    assert "BulkFormer-37M.pt" in document.sections["run"]
    # Nobody knows which of these samples such weights have seen, and none of them chose these.
    text = words("".join(document.sections.values()))
    assert "Whether these weights learned from any of them is not known here" in text
    for claim in (
        "never",
        "lowest at the end",
        "flatter",
        "that it trained on",
        "learned from neither",
    ):
        assert claim not in text


def test_studies_that_chose_the_weights_are_said_to_flatter_them(written, document):
    history = pd.read_parquet(written["run"] / "history.parquet")
    looks = len(history.query("split == 'validation' and mask_fraction == 0.15"))
    said = words(document.sections["says"])
    assert f"their figures flatter. the best of {looks} looks in training" in said
    assert "The run learned from neither" in said


def test_going_on_from_weights_says_that_these_may_have_seen_the_samples(arguments):
    update(arguments["assessment"] / "assessment.json", mode="fine-tune")
    inputs = read_inputs(
        *(arguments[name] for name in ("run", "assessment", "corpus")), False, None
    )
    assert [banner["title"] for banner in banners(inputs)] == ["Began elsewhere"]


def test_a_tenth_in_which_nothing_is_expressed_is_neither_better_nor_worse(arguments):
    path = arguments["assessment"] / "deciles.parquet"
    table = pd.read_parquet(path)
    table.loc[table["decile"] == 1, "mse_skill"] = np.nan
    table.to_parquet(path)
    assert "better in each known tenth by expression" in readings(arguments)


def test_a_run_without_samples_of_known_studies_is_shown_without_them(arguments):
    for name in ("accuracy", "genes", "deciles"):
        path = arguments["assessment"] / f"{name}.parquet"
        pd.read_parquet(path).query("split == 'validation'").to_parquet(path)
    summary = json.loads((arguments["assessment"] / "assessment.json").read_text())
    update(
        arguments["assessment"] / "assessment.json",
        pearson={"validation": summary["pearson"]["validation"]},
        splits={"validation": summary["splits"]["validation"]},
    )
    text = page_of(arguments)
    assert "studies kept apart" in text
    assert "on single samples kept apart" not in text


def test_same_inputs_give_the_same_bytes(arguments, page):
    assert page_of(arguments) == page


def test_a_simulated_universe_is_announced_and_hostile_names_never_run(arguments, page):
    hostile = "<script>alert(1)</script>"
    for name, column in (("genes", "symbol"), ("clusters", "set_id")):
        path = arguments["assessment"] / f"{name}.parquet"
        pd.read_parquet(path).assign(**{column: hostile}).to_parquet(path)
    text = page_of(arguments | {"title": hostile, "simulated": True})
    assert "Simulated universe" not in page
    assert text.index("Simulated universe") < text.index('id="says"')
    assert Document(text).tags["script"] == 1
    assert "<script>alert" not in text


def test_a_table_without_a_column_is_named(arguments):
    path = arguments["assessment"] / "deciles.parquet"
    pd.read_parquet(path).drop(columns="mse_skill").to_parquet(path)
    with pytest.raises(InputError, match=r"deciles\.parquet: no column mse_skill"):
        model(**arguments)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("HALLMARK_MYC_TARGETS_V1", "myc targets v1"),
        ("go_terms/GOBP_REGULATION_OF_A_VERY_LONG_PROCESS", "regulation of a very long…"),
        ("my own set", "my own set"),
        ("my_set", "my set"),
    ],
)
def test_names_of_sets_fit_on_the_map(name, shown):
    assert short_name(name) == shown
