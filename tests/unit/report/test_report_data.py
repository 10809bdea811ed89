"""The page about the data: complete, self-contained, and nothing on it that no stage wrote."""

import json
import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from report_mock import corpus, coverage
from report_mock_stages import graph
from test_report_page import Document

from bulkformer.errors import InputError
from bulkformer.report.data import data
from bulkformer.report.data_files import size
from bulkformer.sources.inventory import INVENTORY

FILE = {
    "source": "string",
    "file": "links.txt.gz",
    "version": "12.0",
    "bytes": 1_234_567,
    "sha256": "abcdef012345" + "0" * 52,
    "checked": "checksum of the table",
    "url": "https://example.org/links.txt.gz",
    "retrieved": "2026-02-03",
    "licence": "CC BY 4.0",
    "licence_url": "https://example.org/licence",
    "citation": "Somebody 2020, Nature 1:1",
}
LOCAL = {
    "source": "local", "file": "$COHORTS/mine.tsv", "bytes": 10, "sha256": "1" * 64,
    "checked": "local file", "licence": "not stated: a file of the user",
}  # fmt: skip
IDENTITY = {
    "format": "gdc", "unit": "counts", "gene_ids": "ensembl", "genes_in_file": 2055,
    "genes_matched": 1956, "genes_summed": 31, "copies_on_y_summed": 17, "unmatched": 99,
    "ambiguous": ["ALTBOTH"], "repeated_symbols": [], "damaged_symbols": ["1-Mar", "44256"],
    "unmatched_examples": ["ENSG00000900011.17"],
    "summed_examples": {"ENSG00000901061": ["ENSG00000901061.16", "ENSG00000901061.16_PAR_Y"]},
}  # fmt: skip
OVERLAP = {
    "n_samples": 108, "n_shared": 13, "correlation": 0.7, "bands_find": 0.99,
    "n_shared_by_kind": {"sample_id": 5, "biosample": 2, "expression": 6},
    "n_shared_by_split": {"train": 11, "validation": 2}, "accession_pairs": 7,
    "accession_pairs_found_by_expression": 6, "accession_pairs_median_correlation": 0.98,
}  # fmt: skip
SURVIVAL = {
    "rows": 4321, "files": ["TCGA-CDR.xlsx"], "licence": ["GDC open access"],
    "dropped": {"OS": {"no_time": 34}, "redacted": 2}, "joined": {"share_known": 0.998},
    "endpoints": ["OS", "PFI"],
}  # fmt: skip


@pytest.fixture
def arguments(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content))
        return path

    inventory = tmp_path / "inventory.parquet"
    pq.write_table(pa.Table.from_pylist([FILE, LOCAL], schema=INVENTORY), inventory)
    made = graph() | {"samples_used": 228, "cohorts": ["archs4"], "samples_sha256": "62" * 32}
    return {
        "title": "A run",
        "cohorts": json.dumps({"tcga": {"description": "TCGA, open tier"}}),
        "inventory": inventory,
        "coverage": [
            write("archs4.coverage.json", coverage("archs4", 0)),
            write("tcga.coverage.json", coverage("tcga", 1) | IDENTITY),
        ],
        "corpus": write("corpus.json", corpus()),
        "overlap": [write("overlap/tcga.json", OVERLAP)],
        "outcome": [write("outcomes/survival.json", SURVIVAL)],
        "graph": [write("coexpression.json", made)],
        "page": tmp_path / "data.html",
    }


@pytest.fixture
def page_of():
    def make(arguments):
        data(**arguments)
        return arguments["page"].read_text()

    return make


@pytest.fixture
def document(arguments, page_of):
    return Document(page_of(arguments))


def words(text):
    return " ".join(text.split())


def test_the_page_is_well_formed_and_stands_alone(document, arguments):
    assert document.open == []
    assert [name for name, times in document.ids.items() if times > 1] == []
    outside = {target for _, _, target in document.links if not target.startswith("#")}
    assert outside == {"index.html", "model.html"}  # the other pages of the same folder
    text = arguments["page"].read_text()
    assert not re.search(r"@import|fetch\(|XMLHttpRequest", text)
    inside = {target[1:] for _, _, target in document.links if target.startswith("#")}
    assert inside <= set(document.ids)


def test_every_file_has_version_size_checksum_and_what_vouches_for_it(document):
    text = words(document.sections["files"])
    for part in (
        "string/links.txt.gz", FILE["url"], "12.0", "1,234,567", "1.2 MB", "abcdef012345",
        "checksum of the table", "2026-02-03", "local/$COHORTS/mine.tsv", "local file",
    ):  # fmt: skip
        assert part in text


def test_the_whole_checksum_is_under_the_pointer(arguments, page_of):
    assert f'title="{FILE["sha256"]}"' in page_of(arguments)


def test_licence_and_citation_of_every_source_are_shown(document):
    text = words(document.sections["licences"])
    for part in (FILE["licence"], FILE["licence_url"], FILE["citation"], LOCAL["licence"]):
        assert part in text


def test_each_cohort_says_what_was_kept_and_why_the_rest_was_not(document):
    text = words(document.sections["cohorts"])
    assert "TCGA, open tier" in text
    assert "380 360 12 few detected genes, 8 single cell" in text  # samples, kept, reasons


def test_genes_that_were_summed_ambiguous_or_unmatched_are_counted_and_named(document):
    text = words(document.sections["genes"])
    for part in (
        "1,949 of 2,000", "31 17 copies on Y", "ALTBOTH", "1-Mar, 44256", "ENSG00000900011.17",
        "ENSG00000901061 from ENSG00000901061.16 + ENSG00000901061.16_PAR_Y",
    ):  # fmt: skip
        assert part in text


def test_the_corpus_shows_its_split_and_everything_else_that_its_step_said(arguments, page_of):
    arguments["corpus"].write_text(json.dumps(corpus() | {"copies_dropped": 17}))
    text = words(Document(page_of(arguments)).sections["corpus"])
    assert "training 240 16" in text
    assert "copies dropped 17" in text
    assert "cd" * 32 in text


def test_copies_inside_the_corpus_are_counted_by_evidence(arguments, page_of):
    assert "No sample is in the corpus under two names." in page_of(arguments)
    pair = {"cohort": "archs4", "sample_id": "GSM1", "other_cohort": "archs4"}
    pair |= {"other_sample_id": "GSM2", "correlation": 0.9969}
    found = {"expression": {"pairs": 17, "examples": [pair]}}
    arguments["corpus"].write_text(json.dumps(corpus() | {"duplicate_pairs": found}))
    text = words(Document(page_of(arguments)).sections["corpus"])
    assert "expression 17 archs4 GSM1 and archs4 GSM2 (r 0.997)" in text


def test_the_overlap_of_a_cohort_says_how_it_is_known_and_on_which_side(document):
    text = words(document.sections["overlap"])
    assert "tcga 13 of 108 5 2 6 11 train, 2 validation 6 of 7 pairs, r ≥ 0.700" in text


def test_outcome_tables_say_rows_drops_joins_files_and_licence(document):
    text = words(document.sections["outcomes"])
    assert "survival 4,321 OS (no time 34), redacted 2 share known 0.998 TCGA-CDR.xlsx" in text
    assert "GDC open access" in text
    assert "endpoints OS; PFI" in text


def test_a_graph_says_from_which_samples_it_was_made(document):
    text = words(document.sections["graphs"])
    assert "training samples of the corpus" in text
    assert "archs4 228 62626262" in text


def test_a_simulated_universe_is_announced_and_its_outcomes_have_no_licence(arguments, page_of):
    assert "Simulated universe" not in page_of(arguments)
    text = page_of(arguments | {"simulated": True})
    assert text.index("Simulated universe") < text.index('id="files"')
    assert "none: simulated" in Document(text).sections["outcomes"]


def test_what_was_not_made_is_said(arguments, page_of):
    text = page_of(arguments | {"overlap": None, "outcome": None})
    assert "No cohort was compared with the corpus." in text
    assert "No table of outcomes was made." in text


def test_a_field_that_a_stage_did_not_write_is_a_dash_and_not_a_guess(arguments, page_of):
    arguments["coverage"][1].write_text('{"cohort": "tcga"}')
    text = words(Document(page_of(arguments)).sections["cohorts"])
    assert "tcga TCGA, open tier — — — — — —" in text


def test_same_inputs_give_the_same_bytes(arguments, page_of):
    assert page_of(arguments) == page_of(arguments)


def test_hostile_names_are_shown_and_never_run(arguments, page_of):
    hostile = "<script>alert(1)</script>"
    row = FILE | {"citation": hostile, "url": f'https://x/"onload="{hostile}'}
    pq.write_table(pa.Table.from_pylist([row], schema=INVENTORY), arguments["inventory"])
    text = page_of(arguments | {"title": hostile})
    assert Document(text).tags["script"] == 1
    assert "<script>alert" not in text


def test_an_inventory_without_a_column_is_named(arguments):
    table = pq.read_table(arguments["inventory"]).drop_columns(["checked"])
    pq.write_table(table, arguments["inventory"])
    with pytest.raises(InputError, match="no column checked"):
        data(**arguments)


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1_500, "1.5 kB"), (61_899_310_543, "61.9 GB")],
)
def test_sizes_are_written_the_way_they_are_said(number, text):
    assert size(number) == text
