"""Gene sets in GMT: names, members, releases, and lines that are no sets."""

import gzip

import pytest

from bulkformer.errors import InputError
from bulkformer.sources.gene_sets import read_gmt, release_of


def test_a_set_has_a_name_and_its_genes_each_once(tmp_path):
    path = tmp_path / "sets.gmt"
    path.write_text("ONE\thttp://x\tTP53\tMYC\tTP53\n\nTWO\t\tA\t\tB\t\t\r\n")
    assert read_gmt(path) == [("ONE", ["TP53", "MYC"]), ("TWO", ["A", "B"])]
    packed = tmp_path / "sets.gmt.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert read_gmt(packed) == read_gmt(path)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("ONE\tx\tA\nONE\tx\tB\n", r"line 2: the set 'ONE' stands in line 1 already"),
        ("ONE\tx\n", "line 1: not a gene set"),
        ("<!doctype html>\n", "line 1: not a gene set"),
        ("", "no gene set"),
    ],
)
def test_lines_that_are_no_sets_are_refused(tmp_path, text, complaint):
    path = tmp_path / "sets.gmt"
    path.write_text(text)
    with pytest.raises(InputError, match=complaint) as error:
        read_gmt(path)
    assert str(path) in str(error.value)


def test_binary_and_cut_files_are_refused(tmp_path):
    path = tmp_path / "sets.gmt.gz"
    path.write_bytes(gzip.compress(b"ONE\tx\tA\n")[:-9])
    with pytest.raises(InputError, match="fetch it again"):
        read_gmt(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not readable as GMT"):
        read_gmt(path)


@pytest.mark.parametrize(
    ("name", "collection", "version"),
    [
        ("h.all.v2024.1.Hs.symbols.gmt", "h.all", "2024.1.Hs"),
        ("c2.cp.reactome.v2024.1.Hs.symbols.gmt", "c2.cp.reactome", "2024.1.Hs"),
        ("h.all.v5.1.symbols.gmt", "h.all", "5.1"),
        ("go_bp_iobr.gmt.gz", "go_bp_iobr", None),
        ("my.very.own.gmt", "my.very.own", None),
    ],
)
def test_collection_and_version_stand_in_the_file_name(tmp_path, name, collection, version):
    assert release_of(tmp_path / name) == (collection, version)


@pytest.mark.real_data
def test_published_collections_are_read(development_data):
    folder = development_data / "genesets"
    assert len(read_gmt(folder / "h.all.v5.1.symbols.gmt")) == 50
    assert len(read_gmt(folder / "hallmark_iobr.gmt.gz")) == 50
    assert len(read_gmt(folder / "go_bp_iobr.gmt.gz")) == 7573
