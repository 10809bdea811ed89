"""Protein embeddings: what ESM2 makes of each gene's protein, whatever happens on the way."""

import json
import os
import socket

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file, save_file

from bulkformer.errors import InputError
from bulkformer.pretrain.protein_windows import WINDOW
from bulkformer.simulate.proteins import write_random_esm2

LONG = WINDOW + 300
WIDTH = 16


@pytest.fixture(scope="module")
def reference(inputs):
    """The mean vector of a window by the library's own tokenizer and model, one call a window."""
    from transformers import EsmConfig, EsmModel, EsmTokenizer

    folder = inputs["esm2"].parent
    tokenizer = EsmTokenizer(str(folder / "vocab.txt"))
    model = EsmModel(EsmConfig.from_pretrained(folder), add_pooling_layer=False).eval()
    state = load_file(inputs["esm2"])
    state = {name.removeprefix("esm."): tensor for name, tensor in state.items()}
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected
    assert all(name.startswith(("contact_head", "rotary")) for name in missing)

    @torch.no_grad()
    def reference(window, special_tokens=False):
        hidden = model(**tokenizer(window, return_tensors="pt")).last_hidden_state[0]
        return (hidden if special_tokens else hidden[1:-1]).mean(0).numpy()

    return reference


def vectors(path):
    table = pd.read_parquet(path).set_index("gene_id")
    return pd.DataFrame(np.stack(table["embedding"]), index=table.index)


def test_an_embedding_is_the_mean_over_the_residues_of_the_protein(embed, reference, sequences):
    found = vectors(embed())
    for gene, sequence in sequences.items():
        windows = [sequence[:WINDOW], sequence[WINDOW:]] if len(sequence) == LONG else [sequence]
        parts = np.stack([reference(window) for window in windows])
        expected = np.average(parts, axis=0, weights=[len(window) for window in windows])
        np.testing.assert_allclose(found.loc[gene], expected, atol=1e-5)
    short = next(iter(sequences))
    assert np.abs(found.loc[short] - reference(sequences[short], special_tokens=True)).max() > 1e-3


def test_a_protein_may_be_cut_to_its_first_window(embed, reference, sequences):
    found = vectors(embed(windows="first"))
    long = next(gene for gene, sequence in sequences.items() if len(sequence) == LONG)
    np.testing.assert_allclose(found.loc[long], reference(sequences[long][:WINDOW]), atol=1e-5)


def test_padding_in_a_batch_changes_nothing(embed, tmp_path):
    alone = vectors(embed(batch_residues=1, output=tmp_path / "alone.parquet"))
    together = vectors(embed(batch_residues=100_000))
    np.testing.assert_allclose(alone, together, atol=1e-5)


def test_the_canonical_protein_speaks_for_its_gene_in_the_order_of_the_vocabulary(
    embed, inputs, sequences
):
    path = embed()
    table = pd.read_parquet(path)
    vocabulary = pd.read_parquet(inputs["genes"])["gene_id"].tolist()
    assert table["gene_id"].tolist() == vocabulary
    one = table.set_index("gene_id").loc["ENSG00000000003"]
    assert (one["protein_id"], one["transcript_id"]) == ("ENSP00000000003", "ENST00000000003")
    assert (one["residues"], one["windows"], one["chosen_by"]) == (LONG, 2, "canonical")
    assert pq.read_schema(path).field("embedding").type == pa.list_(pa.float32(), WIDTH)
    summary = json.loads(path.with_suffix(".json").read_text())
    assert (summary["genes"], summary["genes_with_protein"]) == (8, 7)
    assert summary["residues"] == sum(map(len, sequences.values()))
    assert summary["width"] == WIDTH


def test_a_gene_without_a_protein_is_a_row_of_zeros_that_says_so(embed):
    table = pd.read_parquet(embed()).set_index("gene_id")
    without = table.loc["ENSG00000000099"]
    assert not without["has_protein"]
    assert not np.any(without["embedding"])
    assert pd.isna(without["protein_id"])
    assert pd.isna(without["residues"])
    assert table["has_protein"].sum() == 7
    assert all(np.any(row) for row in table.loc[table["has_protein"], "embedding"])


def test_equal_proteins_have_equal_embeddings_to_the_last_bit(embed):
    found = vectors(embed())
    assert (found.loc["ENSG00000000002"] == found.loc["ENSG00000000007"]).all()
    assert (found.loc["ENSG00000000001"] != found.loc["ENSG00000000004"]).any()


def test_nothing_asks_the_network(embed, monkeypatch):
    def refuse(*_):
        raise AssertionError("asked the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    embed()
    assert os.environ["HF_HUB_OFFLINE"] == os.environ["HF_HUB_DISABLE_TELEMETRY"] == "1"


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-40]), "not a whole safetensors file"),
        (lambda path: edit(path, lambda state: state.popitem()), "missing"),
        (lambda path: edit(path, spoil), "no finite number"),
        (lambda path: path.unlink(), "cannot be opened"),
    ],
)
def test_damaged_weights_are_refused_and_no_table_is_written(embed, tmp_path, damage, says):
    weights = tmp_path / "esm2/model.safetensors"
    write_random_esm2(weights, seed=4)
    damage(weights)
    with pytest.raises(InputError, match=says):
        embed(esm2=weights)
    assert not (tmp_path / "table.parquet").exists()


def edit(path, change):
    state = load_file(path)
    change(state)
    save_file(state, path, metadata={"format": "pt"})


def spoil(state):
    state["esm.encoder.layer.0.output.dense.weight"][0, 0] = float("nan")


def test_a_vocabulary_of_other_genes_is_refused(embed, tmp_path):
    genes = tmp_path / "mouse.parquet"
    pq.write_table(pa.table({"gene_id": ["ENSMUSG00000000001"]}), genes)
    with pytest.raises(InputError, match="no protein of a gene"):
        embed(genes=genes)
