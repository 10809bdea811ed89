"""Protein embeddings: what ESM2 makes of each gene's protein, whatever happens on the way."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file, save_file

from bulkformer.errors import InputError
from bulkformer.pretrain import protein_embeddings as step
from bulkformer.pretrain.protein_windows import WINDOW
from bulkformer.simulate.proteins import draw_protein, write_random_esm2

LONG = WINDOW + 300
WIDTH = 16


@pytest.fixture(scope="module")
def sequences():
    """Residues of each gene's canonical protein; the third is longer than a window."""
    rng = np.random.default_rng(5)
    drawn = [draw_protein(rng, length) for length in (40, 75, LONG, 40, 200, 33, 90)]
    drawn[5] = "MU" + drawn[5][2:]  # selenocysteine has a token of its own
    drawn[6] = drawn[1]
    return {f"ENSG{number:011d}": sequence for number, sequence in enumerate(drawn, start=1)}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory, sequences):
    """Files of the step by option: a tiny ESM2, proteins, annotation and a vocabulary."""
    folder = tmp_path_factory.mktemp("proteins")
    write_random_esm2(folder / "esm2/model.safetensors", seed=4)
    records, annotation = [], []
    for number, (gene, sequence) in enumerate(sequences.items(), start=1):
        # A longer protein of a transcript that is not canonical comes first.
        for protein, residues in ((100 + number, sequence + "AAAA"), (number, sequence)):
            records.append(
                f">ENSP{protein:011d}.2 pep chromosome:GRCh38:1:1:900:1 gene:{gene}.3 "
                f"transcript:ENST{protein:011d}.1 gene_biotype:protein_coding\n{residues}\n"
            )
        annotation.append(
            f'1\thavana\texon\t1\t900\t.\t+\t.\tgene_id "{gene}"; transcript_id '
            f'"ENST{number:011d}"; tag "Ensembl_canonical";\n'
        )
    (folder / "pep.fa").write_text("".join(records))
    (folder / "genes.gtf").write_text("".join(annotation))
    # Not the order of the proteins, and with a gene that has none.
    vocabulary = ["ENSG00000000099", *reversed(sequences)]
    pq.write_table(pa.table({"gene_id": vocabulary}), folder / "genes.parquet")
    return {
        "genes": folder / "genes.parquet",
        "esm2": folder / "esm2/model.safetensors",
        "peptides": folder / "pep.fa",
        "annotation": folder / "genes.gtf",
    }


@pytest.fixture
def embed(inputs, tmp_path):
    """Run the step: embed(windows, batch_residues, output=..., other inputs)."""

    def embed(windows="all", batch_residues=2048, output=None, **changed):
        output = output or tmp_path / "table.parquet"
        step.protein_embeddings(
            **(inputs | changed),
            windows=windows,
            batch_residues=batch_residues,
            state=tmp_path / "state",
            output=output,
        )
        return output

    return embed


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


class Killed(BaseException):
    """What no handler of the library catches."""


def stop_after(monkeypatch, batches):
    """Let the model read that many batches and then stop; return the windows read."""
    from bulkformer.pretrain import esm2

    honest, read = esm2.mean_residue_vectors, []

    def counted(model, windows, vocabulary):
        if len(read) == batches:
            raise Killed
        read.append(list(windows))
        return honest(model, windows, vocabulary)

    monkeypatch.setattr(esm2, "mean_residue_vectors", counted)
    return read


def test_a_run_stopped_at_any_batch_goes_on_there_and_ends_with_the_same_bytes(
    embed, tmp_path, monkeypatch
):
    whole = embed(batch_residues=1, output=tmp_path / "whole.parquet")
    assert not (tmp_path / "state").exists()
    monkeypatch.setattr(step, "SAVE_SECONDS", 0.0)
    n_windows = 7  # six distinct proteins, one of them in two windows
    for batches in range(1, n_windows):
        with monkeypatch.context() as patch:
            stop_after(patch, batches)
            with pytest.raises(Killed):
                embed(batch_residues=1)
            assert not (tmp_path / "table.parquet").exists()
        with monkeypatch.context() as patch:
            read = stop_after(patch, None)
            resumed = embed(batch_residues=1)
            assert len(read) == n_windows - batches
        assert resumed.read_bytes() == whole.read_bytes()
        assert resumed.with_suffix(".json").read_bytes() == whole.with_suffix(".json").read_bytes()
        resumed.unlink()


def test_a_killed_process_loses_nothing_that_it_had_saved(embed, inputs, tmp_path, monkeypatch):
    whole = embed(batch_residues=1, output=tmp_path / "whole.parquet")
    options = {name: str(path) for name, path in inputs.items()}
    program = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from bulkformer.pretrain import esm2, protein_embeddings as step\n"
        "step.SAVE_SECONDS = 0.0\n"
        "honest, calls = esm2.mean_residue_vectors, []\n"
        "def deadly(*arguments):\n"
        "    calls.append(1)\n"
        "    if len(calls) == 4:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return honest(*arguments)\n"
        "esm2.mean_residue_vectors = deadly\n"
        f"files = {{name: Path(path) for name, path in {options!r}.items()}}\n"
        f"folder = Path({str(tmp_path)!r})\n"
        "step.protein_embeddings(**files, windows='all', batch_residues=1,\n"
        "    state=folder / 'state', output=folder / 'table.parquet')\n"
    )
    run = subprocess.run([sys.executable, "-c", program], env=environment(), capture_output=True)
    assert run.returncode == -signal.SIGKILL, run.stderr
    assert not (tmp_path / "table.parquet").exists()
    read = stop_after(monkeypatch, None)
    assert embed(batch_residues=1).read_bytes() == whole.read_bytes()
    assert len(read) == 4


def environment():
    library = Path(step.__file__).parents[2]
    return {**os.environ, "PYTHONPATH": str(library), "OMP_NUM_THREADS": "1"}


def test_other_weights_never_go_on_from_what_was_saved(embed, inputs, tmp_path, monkeypatch):
    monkeypatch.setattr(step, "SAVE_SECONDS", 0.0)
    with monkeypatch.context() as patch:
        stop_after(patch, 3)
        with pytest.raises(Killed):
            embed(batch_residues=1)
    write_random_esm2(tmp_path / "esm2/model.safetensors", seed=9)
    read = stop_after(monkeypatch, None)
    embed(batch_residues=1, esm2=tmp_path / "esm2/model.safetensors")
    assert len(read) == 7


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


def test_damaged_state_is_named_and_not_taken_for_results(embed, tmp_path, monkeypatch):
    monkeypatch.setattr(step, "SAVE_SECONDS", 0.0)
    with monkeypatch.context() as patch:
        stop_after(patch, 2)
        with pytest.raises(Killed):
            embed(batch_residues=1)
    part = sorted((tmp_path / "state").rglob("*.safetensors"))[0]
    part.write_bytes(part.read_bytes()[:-8])
    with pytest.raises(InputError, match=r"00000000\.safetensors: damaged"):
        embed(batch_residues=1)


def test_a_vocabulary_of_other_genes_is_refused(embed, tmp_path):
    genes = tmp_path / "mouse.parquet"
    pq.write_table(pa.table({"gene_id": ["ENSMUSG00000000001"]}), genes)
    with pytest.raises(InputError, match="no protein of a gene"):
        embed(genes=genes)
