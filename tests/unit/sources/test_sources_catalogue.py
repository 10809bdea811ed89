"""The sources table: every public source, exactly, and every mistake named with line and column."""

import re
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from bulkformer.errors import InputError
from bulkformer.sources.catalogue import COLUMNS, read_catalogue

ROW = {
    "source": "string",
    "file": "links.txt.gz",
    "version": "12.0",
    "url": "https://example.org/links.txt.gz",
    "mirror": "",
    "listing": "",
    "bytes": "123",
    "checksum": "md5:" + "0" * 32,
    "licence": "CC BY 4.0",
    "licence_url": "https://example.org/licence",
    "accept": "",
    "citation": "Somebody 2020",
    "acquired": "automatic",
    "instruction": "",
}
# What goes wrong in one column of a row, and the column that the message names.
MISTAKES = [
    ({"source": "STRING db"}, "source"),
    ({"file": "../links"}, "file"),
    ({"file": ".links"}, "file"),
    ({"file": "links of mine.gz"}, "file"),
    ({"file": "links;ls.gz"}, "file"),
    ({"file": "links(1).gz"}, "file"),
    ({"listing": "dropbox https://example.org"}, "listing"),
    ({"listing": "zenodo"}, "listing"),
    ({"bytes": "12 MB"}, "bytes"),
    ({"checksum": "sha256:6dfad242"}, "checksum"),
    ({"checksum": "md5:" + "A" * 32}, "checksum"),
    ({"checksum": "0" * 64}, "checksum"),
    ({"licence": ""}, "licence"),
    ({"citation": ""}, "citation"),
    ({"accept": "no"}, "accept"),
    ({"accept": "yes", "licence_url": ""}, "licence_url"),
    ({"acquired": "automatically"}, "acquired"),
    ({"url": "", "listing": ""}, "url"),
    ({"acquired": "by_hand", "instruction": ""}, "instruction"),
]


def write(path: Path, *rows: dict[str, str]) -> Path:
    lines = ["\t".join(COLUMNS), *("\t".join(row[name] for name in COLUMNS) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def table(root):
    return read_catalogue(root / "config/sources.tsv")


@pytest.fixture(scope="module")
def schema(root):
    text = (root / "workflow/schemas/sources.schema.yaml").read_text()
    return Draft202012Validator(yaml.safe_load(text))


def test_a_row_is_read_with_its_types(tmp_path):
    (source,) = read_catalogue(write(tmp_path / "sources.tsv", ROW | {"accept": "yes"}))
    assert source.name == "string/links.txt.gz"
    assert source.bytes == 123
    assert source.accept is True
    assert source.mirror == ""


def test_an_unknown_size_is_none_and_no_zero(tmp_path):
    (source,) = read_catalogue(write(tmp_path / "sources.tsv", ROW | {"bytes": ""}))
    assert source.bytes is None


@pytest.mark.parametrize(("change", "column"), MISTAKES)
def test_a_mistake_is_named_with_file_line_and_column(tmp_path, change, column):
    path = write(tmp_path / "sources.tsv", ROW, ROW | {"file": "info.txt.gz"} | change)
    with pytest.raises(InputError, match=re.escape(f"{path}, line 3, column {column}:")):
        read_catalogue(path)


@pytest.mark.parametrize(("change", "column"), MISTAKES)
def test_the_schema_refuses_what_the_library_refuses(schema, change, column):
    assert schema.is_valid(ROW)
    assert not schema.is_valid(ROW | change), column


def test_a_file_that_stands_twice_is_named_with_both_lines(tmp_path):
    path = write(tmp_path / "sources.tsv", ROW, ROW)
    with pytest.raises(InputError, match=r"line 3: 'string/links.txt.gz' stands in line 2"):
        read_catalogue(path)


def test_a_row_without_all_columns_is_named(tmp_path):
    path = write(tmp_path / "sources.tsv", ROW)
    path.write_text(path.read_text() + "string\tinfo.gz\n")
    with pytest.raises(InputError, match=r"line 3: 2 columns instead of 14"):
        read_catalogue(path)


def test_an_older_table_without_the_new_columns_says_which_are_asked_for(tmp_path):
    path = tmp_path / "sources.tsv"
    path.write_text("source\tfile\tversion\n")
    with pytest.raises(InputError, match=r"line 1: .*licence_url, accept"):
        read_catalogue(path)


def test_a_file_that_is_no_table_is_named(tmp_path):
    with pytest.raises(InputError, match=re.escape(str(tmp_path / "absent.tsv"))):
        read_catalogue(tmp_path / "absent.tsv")


@pytest.mark.parametrize(
    "source",
    [
        *("archs4", "ncbi", "recount3", "gtex", "gdc", "tcga_cdr", "toil", "disignatlas"),
        *("gdsc", "cell_model_passports", "depmap", "l1000", "prnet"),
        *("bulkformer_2025_05", "bulkformer", "bulkformer_repository"),
        *("bulkformer_weights", "bulkformer_latest", "esm2"),
        *("string", "ensembl", "hgnc", "msigdb", "go"),
    ],
)
def test_every_public_source_has_rows(table, source):
    assert [row.name for row in table if row.source == source]


def test_sources_with_restrictions_ask_for_their_licence_to_be_accepted(table):
    restricted = {row.source for row in table if row.accept}
    assert restricted >= {"gdsc", "disignatlas", "bulkformer_weights"}
    free = {row.source for row in table if row.licence in ("CC BY 4.0", "CC0", "MIT")}
    assert not restricted & free


def test_no_gene_sets_of_kegg_or_biocarta_are_fetched(table):
    for row in table:
        assert not re.search("kegg|biocarta", row.file, re.IGNORECASE), row.name


def test_two_files_of_one_name_are_told_apart_by_their_checksum(table):
    """The old host of GDSC offers other bytes under the same name."""
    (row,) = [row for row in table if row.file.startswith("GDSC2_fitted")]
    assert row.bytes == 22_112_537
    assert row.checksum.startswith("sha256:0e99120a")


def test_addresses_hold_no_placeholder(table):
    """YYYYMMDD and the like are no address: such files are listed or acquired by hand."""
    for row in table:
        for address in (row.url, row.mirror, row.listing):
            assert not re.search(r"YYYY|[<>{}]|\.\.\.", address), row.name


def test_a_pickle_is_fetched_only_where_its_checksum_is_pinned(table):
    for row in table:
        if row.file.endswith((".pkl", ".pickle")):
            assert row.checksum, row.name
