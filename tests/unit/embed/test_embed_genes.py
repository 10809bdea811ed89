"""Gene tokens are the trunk's own vectors, for the genes and samples that were asked for."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from embed_world import expression, frame, write_genes

from bulkformer.embed.genes import genes
from bulkformer.embed.tokens import TokenStore, create_tokens
from bulkformer.errors import InputError
from bulkformer.expression.store import create_store
from bulkformer.graph.edges import read_graph
from bulkformer.model.bulkformer import BulkFormerConfig
from bulkformer.model.bulkformer_latest import BulkFormerLatestConfig
from bulkformer.model.checkpoint import load_run, save_run
from bulkformer.model.variants import initialise_model

N_GENES, N_KNOWN, N_SAMPLES = 20, 18, 7
MEASURED = np.arange(N_GENES) >= 3
CONFIGS = {
    "paper": BulkFormerConfig(n_genes=N_KNOWN, dim=8, layers=1, heads=2),
    "latest": BulkFormerLatestConfig(
        n_genes=N_KNOWN, dim=8, layers=1, heads=2, features=6, graph_dim=4
    ),
}


@pytest.fixture(params=CONFIGS)
def cohort(request, tmp_path):
    """A run that knows all but the first two genes of the vocabulary, and seven samples."""
    graph = tmp_path / "edges.parquet"
    ring = np.arange(N_KNOWN)
    sources, targets = np.append(ring, np.roll(ring, 1)), np.append(np.roll(ring, 1), ring)
    pd.DataFrame({"source": sources, "target": targets, "weight": 0.5}).to_parquet(graph)
    model = initialise_model(CONFIGS[request.param], read_graph(graph, N_KNOWN), 3, 2.0).eval()
    vocabulary = write_genes(tmp_path / "genes.parquet", N_GENES)
    known = tmp_path / "known.parquet"
    pd.read_parquet(vocabulary).iloc[2:].reset_index(drop=True).to_parquet(known)
    save_run(tmp_path / "run", model, graph, known, {"epochs": 1})
    values = expression(N_SAMPLES, N_GENES, seed=4)
    values[:, ~MEASURED] = np.nan
    samples = frame(N_SAMPLES).assign(kept=True, reason=None)
    with create_store(tmp_path / "log_tpm.arrow", MEASURED, "log_tpm") as writer:
        writer.write(samples["sample_id"].tolist(), values)
    samples.to_parquet(tmp_path / "samples.parquet")
    return tmp_path, values


def ask(folder, samples, wanted, batch_size=2):
    """Run the step and open what it wrote."""
    (folder / "request.json").write_text(json.dumps({"samples": samples, "genes": wanted}))
    genes(
        model="tiny",
        embedder="bulkformer",
        genes=folder / "genes.parquet",
        store=folder / "log_tpm.arrow",
        samples=folder / "samples.parquet",
        request=folder / "request.json",
        seed=0,
        batch_size=batch_size,
        output=folder / "tokens.arrow",
        description=folder / "tokens.json",
        settings='{"pooling": "mean"}',
        weights=folder / "run",
    )
    return TokenStore(folder / "tokens.arrow")


def names(places):
    return [f"ENSG{place:011d}" for place in places]


def test_tokens_are_the_last_layer_without_the_statistics_of_the_sample(cohort):
    folder, values = cohort
    asked, samples = [7, 1, 19, 2], [5, 0, 6]
    store = ask(folder, [f"s{i}" for i in samples], names(asked))
    model, _, _ = load_run(folder / "run")
    x = torch.from_numpy(np.nan_to_num(values[samples][:, 2:], nan=-10))
    with torch.inference_mode():
        if load_run(folder / "run")[2]["variant"] == "paper":
            expected = model.embed(x, (x == -10).float().mean(dim=1)).numpy()[..., :8]
        else:
            expected = model.embed(x).numpy()
    found = np.concatenate([tokens for _, tokens in store.blocks()])
    assert store.sample_ids == ["s5", "s0", "s6"]
    assert store.genes == names(asked)
    assert found.dtype == np.float16
    assert store.dimension == 8
    assert store.known.tolist() == [True, False, True, True]  # gene 2 is known, not measured
    for place, gene in enumerate(asked):
        own = expected[:, gene - 2] if gene >= 2 else 0.0
        np.testing.assert_allclose(found[:, place], np.broadcast_to(own, (3, 8)), atol=2e-3)


def test_the_file_is_written_and_read_a_batch_of_samples_at_a_time(cohort):
    folder, _ = cohort
    store = ask(folder, [f"s{i}" for i in range(7)], names([4, 5]), batch_size=3)
    assert [len(ids) for ids, _ in store.blocks()] == [3, 3, 1]
    assert store.samples_of_block(1) == ["s3", "s4", "s5"]
    assert store.n_blocks == 3
    described = json.loads((folder / "tokens.json").read_text())
    assert described["genes_without_token"] == 0
    assert described["dtype"] == "float16"
    first = (folder / "tokens.arrow").read_bytes()
    ask(folder, [f"s{i}" for i in range(7)], names([4, 5]), batch_size=3)
    assert (folder / "tokens.arrow").read_bytes() == first


def test_what_cannot_be_given_is_refused_by_name(cohort):
    folder, _ = cohort
    with pytest.raises(InputError, match="1 genes are not in"):
        ask(folder, ["s0"], ["ENSG99"])
    with pytest.raises(InputError, match="no samples, or one of them twice"):
        ask(folder, ["s0", "s0"], names([4]))
    with pytest.raises(InputError, match="knows none of the genes"):
        ask(folder, ["s0"], names([0, 1]))
    with pytest.raises(InputError, match="not in this store"):
        ask(folder, ["other"], names([4]))


def test_models_without_gene_tokens_say_so(fitted):
    values = expression(4, N_GENES, seed=1)
    model = fitted("log_tpm", values)
    assert not model.can_give_gene_tokens
    assert not model.knows(np.arange(3)).any()
    with pytest.raises(InputError, match="has no gene tokens"):
        model.gene_tokens(values, np.ones(N_GENES, bool), frame(4), np.arange(3))


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "tokens.arrow").write_bytes(b"nothing")
    with pytest.raises(InputError, match="no readable gene tokens"):
        TokenStore(tmp_path / "tokens.arrow")
    with pytest.raises(ValueError, match="no block"):
        create_tokens(tmp_path / "empty.arrow", ["a"], np.ones(1, bool), [])
    assert not (tmp_path / "empty.arrow").exists()
