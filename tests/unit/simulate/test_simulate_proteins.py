"""Simulated proteins and the tiny ESM2 are what their readers expect, awkward cases included."""

import pandas as pd
import pytest

from bulkformer.simulate.proteins import FAMILY, LONGEST, TOKENS, proteins
from bulkformer.sources.ensembl import canonical_transcripts
from bulkformer.sources.esm2 import open_esm2
from bulkformer.sources.peptides import read_peptides


def write(folder, simulated):
    paths = {"peptides": folder / "pep.all.fa.gz", "weights": folder / "esm2/model.safetensors"}
    proteins(gtf=simulated["gtf"], truth_genes=simulated["truth_genes"], seed=3, **paths)
    return paths


@pytest.fixture(scope="module")
def written(simulated, tmp_path_factory):
    return write(tmp_path_factory.mktemp("proteins"), simulated)


@pytest.fixture(scope="module")
def table(written, simulated):
    canonical = canonical_transcripts(simulated["gtf"])
    return read_peptides(written["peptides"], canonical).set_index("gene_id")


def test_coding_genes_have_a_canonical_protein_with_few_exceptions(table, simulated):
    genes = pd.read_parquet(simulated["truth_genes"])
    coding = set(genes.loc[genes["in_vocabulary"], "gene_id"])
    assert set(table.index) < coding
    assert len(coding - set(table.index)) == 2
    assert table["chosen_by"].value_counts().to_dict() == {"canonical": 197, "longest": 1}


def test_the_awkward_proteins_are_there(table):
    sequences = table["sequence"]
    assert sequences.str.len().max() == LONGEST
    assert sequences.str.contains("U").sum() == 1
    assert sequences.str.startswith("XX").sum() == 1
    assert sequences.str.contains("X", regex=False).sum() == 2  # a stop inside reads as X
    assert sequences.value_counts().iloc[0] == FAMILY
    assert sequences.str.len().median() < 120  # a quarter of human ones, so that tests are fast


def test_the_tiny_model_passes_for_esm2(written):
    files = open_esm2(written["weights"])
    assert files.vocabulary == tuple(TOKENS)
    assert (len(TOKENS), TOKENS[4:7], TOKENS[-1]) == (33, ["L", "A", "G"], "<mask>")
    assert files.positions == 1026


def test_the_same_seed_gives_the_same_bytes(written, simulated, tmp_path):
    again = write(tmp_path, simulated)
    for name, path in written.items():
        assert again[name].read_bytes() == path.read_bytes()
    for path in written["weights"].parent.iterdir():
        assert (again["weights"].parent / path.name).read_bytes() == path.read_bytes()
