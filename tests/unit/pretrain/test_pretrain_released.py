"""Published weights become a run folder that is like any other, or nothing at all is written."""

import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from pretrain_world import GENES, arguments, gene_id, write_corpus

from bulkformer.errors import InputError
from bulkformer.expression.vocabulary import Vocabulary
from bulkformer.files import sha256
from bulkformer.graph.edges import read_graph
from bulkformer.model import load_run
from bulkformer.model.bulkformer import BulkFormerConfig, initialise
from bulkformer.model.graph_convolution import Graph
from bulkformer.pretrain.record import COST, HISTORY
from bulkformer.pretrain.released import released
from bulkformer.pretrain.releases import PUBLISHED
from bulkformer.pretrain.train import train

RUN_FOLDER = [
    "config.json", "cost.parquet", "genes.parquet", "graph.parquet", "history.parquet",
    "model.safetensors", "provenance.json",
]  # fmt: skip


def write_gene_list(path, gene_ids):
    """Write a list of the format table; two genes bear one symbol, and one has none."""
    symbols = [f"GENE{number}" for number in range(len(gene_ids))]
    symbols[1], symbols[2] = symbols[0], ""
    pd.DataFrame({"gene_id": gene_ids, "symbol": symbols}).to_csv(path, index=False)


def random_graph(n_genes, seed=0):
    """A directed graph with repeated edges and self loops, like the published one."""
    generator = torch.Generator().manual_seed(seed)
    source, target = torch.randint(n_genes, (2, 6 * n_genes), generator=generator)
    source[0], target[0] = 5, 5
    source[1], target[1] = source[2], target[2]
    return Graph(source, target, torch.rand(6 * n_genes, generator=generator))


def write_release(folder, model, graph, gene_ids):
    """Write the files of a release and return them as options of the step."""
    folder.mkdir(exist_ok=True)
    state = {f"module.{key}": value for key, value in model.state_dict().items()}
    torch.save(state, folder / "weights.pt")
    torch.save(torch.stack([graph.source, graph.target]), folder / "G.pt")
    torch.save(graph.weight, folder / "G_weight.pt")
    write_gene_list(folder / "genes.csv", gene_ids)
    lengths = pd.DataFrame({"ensg_id": gene_ids[1:], "length": range(500, 499 + len(gene_ids))})
    lengths.to_csv(folder / "lengths.csv", index=False)
    return {
        "format": "paper",
        "weights": folder / "weights.pt",
        "genes": folder / "genes.csv",
        "genes_format": "table",
        "edge_index": folder / "G.pt",
        "edge_weight": folder / "G_weight.pt",
        "lengths": folder / "lengths.csv",
        "licence": "CC BY 4.0",
    }


@pytest.fixture
def graph():
    return random_graph(GENES)


@pytest.fixture
def model(graph):
    config = BulkFormerConfig(n_genes=GENES, dim=8, layers=2, heads=2)
    return initialise(config, graph, seed=1, prediction_start=2.0).eval()


@pytest.fixture
def release(tmp_path, model, graph):
    # Not in the order of the ids: a list is taken as it stands.
    order = np.random.default_rng(0).permutation(GENES)
    return write_release(tmp_path / "release", model, graph, [gene_id(n) for n in order])


@pytest.fixture
def run(tmp_path, release):
    released(folder=tmp_path / "run", **release)
    return tmp_path / "run"


@torch.no_grad()
def test_an_imported_run_folder_has_all_files_and_computes_the_same_bits(run, model, release):
    assert sorted(path.name for path in run.iterdir()) == RUN_FOLDER
    loaded, genes, config = load_run(run)
    x = 5 * torch.rand(3, GENES)
    x[:, ::7] = -10
    assert torch.equal(loaded(x, 0.1), model(x, 0.1))
    listed = pd.read_csv(release["genes"])
    assert genes["gene_id"].tolist() == listed["gene_id"].tolist()
    assert config["variant"] == "paper"
    assert config["training"] == {"mode": "released", "licence": "CC BY 4.0"}


def test_the_graph_keeps_direction_repeated_edges_and_self_loops(run, graph):
    for column, expected in zip(read_graph(run / "graph.parquet", GENES), graph, strict=True):
        np.testing.assert_array_equal(column, expected.numpy())


def test_the_genes_are_a_vocabulary_with_the_papers_lengths(run):
    vocabulary = Vocabulary.load(run / "genes.parquet")
    assert vocabulary.length_bp[:3].tolist() == [1000, 500, 501]  # the first is not in the table
    sources = vocabulary.table["length_source"].to_pylist()
    assert sources[:2] == ["paper_default", "paper"]
    known, ambiguous = vocabulary.names("symbol")
    assert ambiguous == {"GENE0"}  # two genes bear it, so that it names neither
    assert known["GENE3"] == 3
    assert vocabulary.symbols[2] == vocabulary.gene_ids[2]
    assert vocabulary.names("entrez")[0] == {}


def test_the_provenance_names_every_file_by_its_hash(run, release, model, graph):
    provenance = json.loads((run / "provenance.json").read_text())
    files = [release[key] for key in ("weights", "genes", "edge_index", "edge_weight", "lengths")]
    assert {name: each["sha256"] for name, each in provenance["files"].items()} == {
        path.name: sha256(path) for path in files
    }
    assert provenance["mode"] == "released"
    assert provenance["tensors_loaded"] == len(model.state_dict())
    assert provenance["parameters"] == sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert provenance["edges"] == len(graph.source)
    assert provenance["self_loops"] == int((graph.source == graph.target).sum()) > 0
    assert provenance["exposure"] == PUBLISHED["paper"]


def test_history_and_cost_are_those_of_a_run_without_any_step(run):
    for name, schema in (("history", HISTORY), ("cost", COST)):
        table = pq.read_table(run / f"{name}.parquet")
        assert (table.schema, len(table)) == (schema, 0)


def test_the_same_files_are_imported_as_the_same_bytes(tmp_path, run, release):
    released(folder=tmp_path / "again", **release)
    for name in RUN_FOLDER:
        assert (run / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sha256": "0" * 64}, r"weights\.pt: SHA-256 \w+ instead of 000"),
        ({"weights": None}, "--weights"),
        ({"genes_format": "bulkformer"}, r"genes\.csv"),
        ({"edge_index": "absent.pt"}, r"absent\.pt: no such file"),
        ({"format": "latest"}, "--source"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(
    tmp_path, release, changes, message
):
    changes = {
        key: tmp_path / value if key == "edge_index" else value for key, value in changes.items()
    }
    with pytest.raises(InputError, match=message):
        released(folder=tmp_path / "run", **release | changes)
    assert not (tmp_path / "run").exists()


def test_a_gene_list_of_another_size_is_refused(tmp_path, release):
    lines = release["genes"].read_text().splitlines()
    release["genes"].write_text("\n".join(lines[:-1]))
    with pytest.raises(InputError, match=r"genes\.csv: 59 genes, but .*weights\.pt has 60"):
        released(folder=tmp_path / "run", **release)
    assert not (tmp_path / "run").exists()


def test_the_known_hash_lets_the_weights_in(tmp_path, release):
    released(folder=tmp_path / "run", **release, sha256=sha256(release["weights"]))
    assert load_run(tmp_path / "run")


def test_the_stray_row_of_the_published_list_is_dropped_and_20010_genes_stay(tmp_path):
    ids = [gene_id(number) for number in range(20_010)]
    graph = random_graph(20_010)
    config = BulkFormerConfig(n_genes=20_010, dim=4, layers=1, heads=2, features=3)
    release = write_release(tmp_path / "release", initialise(config, graph, 1), graph, ids)
    pd.DataFrame({"ensg_id": [*ids[:77], "35991", *ids[77:]]}).to_csv(release["genes"])
    released(folder=tmp_path / "run", **release | {"genes_format": "bulkformer"})
    assert load_run(tmp_path / "run")[1]["gene_id"].tolist() == ids


def test_a_run_folder_of_ones_own_is_taken_with_its_genes_graph_and_exposure(tmp_path, run):
    released(format="run", folder=tmp_path / "taken", source=run)
    for name in ("model.safetensors", "genes.parquet", "graph.parquet", "config.json"):
        assert (tmp_path / "taken" / name).read_bytes() == (run / name).read_bytes(), name
    provenance = json.loads((tmp_path / "taken" / "provenance.json").read_text())
    assert provenance["exposure"] == PUBLISHED["paper"]
    assert provenance["licence"] == "CC BY 4.0"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("corpus"))


def test_training_goes_on_from_imported_weights_on_a_corpus_in_another_order(tmp_path, run, corpus):
    """One step at a rate of almost zero leaves the released weights almost where they were."""
    going_on = arguments(
        corpus, tmp_path / "out", epochs=1, effective_batch_size=100, learning_rate=1e-7,
        graph=None, model="{}", start=run,
    )  # fmt: skip
    train(**going_on)
    before, genes_before, _ = load_run(run)
    after, genes, config = load_run(tmp_path / "out" / "run")
    assert genes["gene_id"].tolist() == genes_before["gene_id"].tolist()
    assert (tmp_path / "out/run/graph.parquet").read_bytes() == (run / "graph.parquet").read_bytes()
    moved = [
        (a - b).abs().max() for a, b in zip(after.parameters(), before.parameters(), strict=True)
    ]
    assert 0 < max(moved) < 1e-5
    assert config["training"]["mode"] == "fine-tune"
    assert config["training"]["licence"] == "CC BY 4.0"
    provenance = json.loads((tmp_path / "out/run/provenance.json").read_text())
    assert provenance["inputs"]["start"] == sha256(run / "model.safetensors")
    assert provenance["exposure"] == PUBLISHED["paper"]
    assert provenance["steps"] == 1


def arrays(path):
    with np.load(path) as archive:
        return {name: torch.from_numpy(archive[name]) for name in archive}


def agree(ours, theirs):
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


@pytest.mark.golden
@pytest.mark.parametrize("name", ["checkpoint_ddp.pt", "state_dict.safetensors"])
@torch.no_grad()
def test_an_imported_checkpoint_of_the_paper_gives_the_authors_numbers(golden, tmp_path, name):
    reference = arrays(golden / "bulkformer/io.npz")
    n_genes = reference["x"].shape[1]
    torch.save(reference["edge_index"], tmp_path / "G.pt")
    torch.save(reference["edge_weight"], tmp_path / "G_weight.pt")
    write_gene_list(tmp_path / "genes.csv", [gene_id(number) for number in range(n_genes)])
    released(
        format="paper",
        folder=tmp_path / "run",
        weights=golden / "bulkformer" / name,
        genes=tmp_path / "genes.csv",
        genes_format="table",
        edge_index=tmp_path / "G.pt",
        edge_weight=tmp_path / "G_weight.pt",
    )
    model, _, _ = load_run(tmp_path / "run")
    agree(model(reference["x"], reference["mask_prob"]), reference["pred"])
    agree(model.embed(reference["x"], reference["mask_prob"]), reference["embedding"])


@pytest.mark.golden
@torch.no_grad()
def test_an_imported_bundle_gives_the_published_numbers(golden, tmp_path):
    reference = arrays(golden / "bulkformer_latest/io.npz")
    source = golden / "bulkformer_latest"
    released(format="latest", folder=tmp_path / "run", source=source)
    model, genes, config = load_run(tmp_path / "run")
    agree(model(reference["x"]), reference["pred"])
    agree(model.embed_samples(reference["x"]), reference["sample_embedding"])
    assert config["variant"] == "latest"
    listed = pd.read_csv(source / "gene_vocab.csv")
    assert genes["length_bp"].tolist() == listed["gene_length_bp"].tolist()
    provenance = json.loads((tmp_path / "run/provenance.json").read_text())
    assert len(provenance["files"]) == 6
    assert provenance["exposure"] == PUBLISHED["latest"]
