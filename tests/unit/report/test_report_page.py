"""The page: self-contained, complete, honest about what it shows, and the same every time."""

import json
import re
from collections import Counter
from html.parser import HTMLParser

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from report_mock import CONFIG, MODELS, write_inputs

from bulkformer.errors import InputError
from bulkformer.report.render import render

VOID = {"meta", "input", "br", "link", "img", "hr"}


class Document(HTMLParser):
    """Collects ids, attributes and the text of each section, and checks that tags close."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: Counter[str] = Counter()
        self.links: list[tuple[str, str, str]] = []
        self.tags: Counter[str] = Counter()
        self.sections: dict[str, str] = {}
        self.rows: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.where = self.row = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags[tag] += 1
        if "id" in attributes:
            self.ids[attributes["id"]] += 1
        for name in ("src", "href"):
            if name in attributes:
                self.links.append((tag, name, attributes[name]))
        if tag == "section":
            self.where = attributes["id"]
        if tag == "tr":
            self.row = attributes.get("class") or ""
            self.rows.append((self.row, ""))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes another element"
        if tag == "section":
            self.where = ""

    def handle_data(self, data):
        self.sections[self.where] = self.sections.get(self.where, "") + data + " "
        if self.rows and "tr" in self.open:
            mark, text = self.rows[-1]
            self.rows[-1] = (mark, text + data + " ")


@pytest.fixture(scope="session")
def document(page):
    return Document(page)


def test_the_page_needs_nothing_from_elsewhere(document, page):
    assert document.tags["link"] == document.tags["img"] == document.tags["iframe"] == 0
    beside = {to for _, _, to in document.links if not to.startswith("#")}
    tasks = {"imputation.html", "disease_annotation.html"}
    assert beside == {"data.html", "model.html"} | tasks
    assert not re.search(r"@import|url\(\s*['\"]?(?!#)", page)
    assert not re.search(r"fetch\(|XMLHttpRequest|import\(", page)


def test_the_page_is_well_formed_and_ids_are_unique(document):
    assert document.open == []
    assert [name for name, times in document.ids.items() if times > 1] == []


def test_every_reference_inside_the_page_has_its_target(document, page):
    targets = {target[1:] for _, _, target in document.links if target.startswith("#")}
    targets |= set(re.findall(r"url\(#([^)]+)\)", page))
    targets |= set(re.findall(r'(?:aria-labelledby|data-filters|for)="([^"]+)"', page))
    assert targets <= set(document.ids)


def test_page_and_figures_stay_small(page):
    assert len(page.encode()) < 3_000_000
    figures = re.findall(r"<svg.*?</svg>", page, flags=re.S)
    assert len(figures) >= 6
    assert max(len(figure.encode()) for figure in figures) < 60_000


def test_every_figure_has_a_caption_and_a_text_for_those_who_cannot_see_it(document, page):
    assert document.tags["figure"] == document.tags["figcaption"] == document.tags["svg"]
    for figure in re.findall(r"<svg.*?</svg>", page, flags=re.S):
        name = re.search(r'aria-labelledby="([^"]+)"', figure)[1]
        assert re.search(rf'<title id="{name}">[^<]{{20,}}</title>', figure)


def test_same_inputs_give_the_same_bytes(tmp_path, page):
    arguments = write_inputs(tmp_path)
    render(**arguments)
    assert arguments["page"].read_text() == page


def test_every_model_of_the_metrics_table_appears_in_its_tasks(document):
    for model, (_, _, tasks, _) in MODELS.items():
        assert model in document.sections["data"]
        for task in tasks.split(","):
            assert model in document.sections[task]


def test_the_floor_is_a_marked_row_with_a_high_pooled_and_a_zero_strict_score(document):
    rows = [text for mark, text in document.rows if mark == "floor" and "gene_mean" in text]
    assert rows
    assert all(re.search(r"0\.860.*0\.000", text) for text in rows)


def test_legacy_and_strict_stand_side_by_side_in_every_card(page):
    cards = re.findall(r'<article class="card">.*?</article>', page, flags=re.S)
    assert len(cards) == 4  # two imputation datasets, two annotation datasets
    for card in cards:
        heads = re.findall(r"<span>(legacy|strict)</span>", card)
        assert heads[0] == "legacy"
        assert "strict" in heads


def test_untrained_weights_are_named_wherever_they_are_shown(document):
    for task in ("imputation", "disease_annotation"):
        assert "bulkformer_random (untrained)" in document.sections[task]
    for mark, text in document.rows:
        if re.search(r"^\s*bulkformer_random\b", text):
            assert "untrained" in text, mark


def test_a_simulated_universe_is_announced_before_any_number(page):
    banner = page.index("nothing about biology")
    assert banner < page.index('id="glance"')


def test_real_data_bears_no_banner_of_simulation(tmp_path, page_of):
    config = CONFIG | {"sources": {"mode": "download"}}
    text = page_of(write_inputs(tmp_path, config=config))
    assert "nothing about biology" not in text
    assert "none: simulated" not in text


def test_literature_values_stand_apart_and_only_for_tasks_that_were_run(document):
    assert "0.954" in document.sections["literature"]
    assert "0.747" not in document.sections["literature"]  # prognosis was not run
    for name, text in document.sections.items():
        if name != "literature":
            assert "0.954" not in text, name


def test_published_values_keep_the_digits_of_their_source(arguments, page_of):
    table = pd.read_csv(arguments["literature"], dtype=str)
    table.loc[0, "value"] = "0.810"
    table.to_csv(arguments["literature"], index=False)
    assert re.search(r">0\.810<", page_of(arguments))


def test_a_published_value_that_is_no_number_names_its_line(arguments):
    table = pd.read_csv(arguments["literature"], dtype=str)
    table.loc[1, "value"] = "n/k"
    table.to_csv(arguments["literature"], index=False)
    with pytest.raises(InputError, match=r"published\.csv, line 3: the value 'n/k'"):
        render(**arguments)


def test_the_csv_holds_the_metrics_table_row_by_row(rendered):
    table = pq.read_table(rendered["metrics"]).to_pandas()
    csv = pd.read_csv(rendered["metrics_csv"], float_precision="round_trip")
    assert list(csv.columns) == list(table.columns)
    pd.testing.assert_frame_equal(
        csv[["task", "model", "metric", "value", "n", "ci_low"]],
        table[["task", "model", "metric", "value", "n", "ci_low"]],
        check_exact=True,
    )


def test_hostile_names_are_shown_and_never_run(tmp_path, page_of):
    hostile = "<script>alert(1)</script>"
    models = {
        "bulkformer": {
            "kind": 'foundation" onload="x', "weights": "trained", "tasks": "imputation",
            "description": f"</style>{hostile}",
        },
        hostile: {
            "kind": "baseline", "weights": "fitted", "tasks": "imputation", "description": "a $b_$",
        },
    }  # fmt: skip
    arguments = write_inputs(tmp_path, models=models)
    text = page_of(arguments | {"title": f"{hostile} & co"})
    document = Document(text)
    assert document.tags["script"] == 1
    assert "alert(1)" not in re.search(r"<script>(.*?)</script>", text, flags=re.S)[1]
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert 'onload="x' not in text


def test_a_dataset_that_only_one_protocol_has_says_not_run(arguments, page_of):
    table = pq.read_table(arguments["metrics"])
    keep = [
        not (row["dataset"] == "tcga" and row["protocol"] == "strict") for row in table.to_pylist()
    ]
    pq.write_table(table.filter(pa.array(keep)), arguments["metrics"])
    text = page_of(arguments)
    cards = re.findall(r'<article class="card">.*?</article>', text, flags=re.S)
    card = next(card for card in cards if "tcga, random 15%" in card)
    assert "not run" in card


def test_without_planted_truth_recovery_is_said_not_to_have_run(arguments, page_of):
    text = page_of(arguments | {"recovery": []})
    assert "only a simulated universe knows which edges are true" in text


def test_an_empty_history_is_stated_and_no_curve_is_drawn(arguments, page_of):
    history = pq.read_table(arguments["history"])
    pq.write_table(history.slice(0, 0), arguments["history"])
    text = page_of(arguments)
    assert "The history of the training is empty" in text
    assert "figure-pretraining" not in text


def test_a_field_that_a_stage_did_not_write_is_a_dash_and_not_a_guess(arguments, page_of):
    arguments["corpus"].write_text("{}")
    arguments["training"].write_text("{}")
    document = Document(page_of(arguments))
    assert "— parameters" in " ".join(document.sections[""].split())


def test_the_exposure_of_every_model_and_cohort_is_shown_with_its_evidence(document):
    text = document.sections["data"]
    assert "seen_unlabelled" in text
    assert "36 of 36 share a study with it" in text
    assert "archs4: held_out_groups" in text


def test_the_resolved_configuration_is_in_the_page(document):
    shown = document.sections["methods"]
    start = shown.index("{")
    assert json.JSONDecoder().raw_decode(shown[start:])[0] == CONFIG
