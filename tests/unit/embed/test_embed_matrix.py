"""A matrix of one's own gets the vectors of the workflow, by the commands that the manual shows."""

import json
import os
import re
import subprocess
import sys

import anndata
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file

from bulkformer.embed.embed import embed
from bulkformer.embed.matrix import matrix
from bulkformer.errors import InputError
from bulkformer.expression.cohort import cohort
from bulkformer.expression.genes import vocabulary_table
from bulkformer.files import sha256
from bulkformer.graph.edges import symmetric, write_graph
from bulkformer.model.bulkformer import BulkFormerConfig, initialise
from bulkformer.model.checkpoint import save_run, separate

N_GENES = 40
GENE_IDS = [f"ENSG{number:011d}" for number in range(N_GENES)]
SAMPLES = [f"s{number}" for number in range(70)]  # more than one block of a store
LACKS = slice(30, 36)  # genes that the matrix does not have


def vocabulary(n_genes: int = N_GENES) -> pa.Table:
    annotation = pd.DataFrame(
        {
            "gene_id": GENE_IDS,
            "symbol": [f"GENE{number}" for number in range(n_genes)],
            "entrez": [str(100 + number) for number in range(n_genes)],
            "length_bp": 500 + 100 * np.arange(n_genes),
            "biotype": "protein_coding",
            "chromosome": "1",
        }
    )
    return vocabulary_table(annotation, None, ["protein_coding"], "annotation")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run folder over 40 genes whose vocabulary knows symbols and Entrez ids."""
    folder = tmp_path_factory.mktemp("run")
    pq.write_table(vocabulary(), folder / "vocabulary.parquet")
    source, target = np.random.default_rng(0).integers(0, N_GENES, size=(2, 80))
    graph = symmetric(source, target, np.full(80, 0.5))
    write_graph(folder / "edges.parquet", graph, N_GENES)
    config = BulkFormerConfig(n_genes=N_GENES, dim=8, layers=1, heads=2)
    model = initialise(config, graph, seed=3, prediction_start=2.0)
    paths = folder / "edges.parquet", folder / "vocabulary.parquet"
    save_run(folder / "tiny", model, *paths, {"mode": "train", "licence": "MIT"})
    return folder / "tiny"


@pytest.fixture(scope="module")
def counts() -> pd.DataFrame:
    """Genes by samples, as Ensembl ids with versions, without six genes; s5 has no counts."""
    values = np.random.default_rng(5).negative_binomial(2, 0.01, (N_GENES, len(SAMPLES)))
    table = pd.DataFrame(values, index=[f"{gene}.3" for gene in GENE_IDS], columns=SAMPLES)
    table["s5"] = 0
    return table.drop(index=table.index[LACKS])


@pytest.fixture
def path(tmp_path, counts):
    counts.to_csv(tmp_path / "counts.tsv.gz", sep="\t", index_label="gene")
    return tmp_path / "counts.tsv.gz"


def read(output) -> pd.DataFrame:
    return pd.read_parquet(output).set_index("sample_id")["embedding"]


def stacked(vectors: pd.Series) -> np.ndarray:
    return np.stack(vectors.to_numpy())


def by_the_workflow(tmp_path, run, path, settings: str, unit: str) -> pd.Series:
    """Embed through the stages: the cohort on the gene axis, then the embed step."""
    folder = tmp_path / "cohort"
    store, samples = folder / "log_tpm.arrow", folder / "samples.parquet"
    cohort(
        cohort="mine", expression=path, format="matrix", gene_ids="ensembl", unit=unit,
        min_shared_vocabulary=0.5, min_detected_genes=1, min_library_size=1,
        max_single_cell_probability=0.5, genes=run / "genes.parquet",
        counts=folder / "counts.arrow", log_tpm=store, samples_output=samples,
        coverage=folder / "coverage.json",
    )  # fmt: skip
    embed(
        model="m", embedder="bulkformer", genes=run / "genes.parquet", store=store,
        samples=samples, seed=0, batch_size=4, output=folder / "vectors.parquet",
        description=folder / "embed.json", settings=settings, weights=run,
    )  # fmt: skip
    return read(folder / "vectors.parquet")


@pytest.mark.parametrize("unit", ["counts", "tpm"])
def test_a_matrix_gets_the_vectors_that_the_workflow_computes(tmp_path, run, path, unit):
    if unit == "tpm":
        table = pd.read_csv(path, sep="\t", index_col=0)
        (table * 999 / table.max().max()).to_csv(path, sep="\t")
    matrix(run, path, tmp_path / "own.parquet", unit=unit, pooling="mean_measured")
    settings = '{"pooling": "mean_measured"}'
    expected = by_the_workflow(tmp_path, run, path, settings, unit)
    own = read(tmp_path / "own.parquet")
    assert own.index.tolist() == expected.index.tolist() == [s for s in SAMPLES if s != "s5"]
    np.testing.assert_array_equal(stacked(own), stacked(expected))


@pytest.mark.parametrize("system", ["symbol", "entrez"])
def test_names_orientation_and_order_of_genes_change_nothing(tmp_path, run, path, counts, system):
    matrix(run, path, tmp_path / "ensembl.parquet")
    numbers = [int(gene[4:15]) for gene in counts.index]
    names = [f"GENE{n}" if system == "symbol" else str(100 + n) for n in numbers]
    other = counts.set_axis(names).iloc[::-1].T
    other.to_parquet(tmp_path / "other.parquet")
    matrix(
        run, tmp_path / "other.parquet", tmp_path / "own.parquet", gene_ids=system,
        orientation="samples_in_rows",
    )  # fmt: skip
    np.testing.assert_array_equal(
        stacked(read(tmp_path / "own.parquet")), stacked(read(tmp_path / "ensembl.parquet"))
    )


def test_logarithms_are_undone(tmp_path, run, path, counts):
    np.log2(counts + 1).to_csv(tmp_path / "logged.csv", index_label="gene")
    matrix(run, path, tmp_path / "a.parquet")
    matrix(run, tmp_path / "logged.csv", tmp_path / "b.parquet", transform="log2(x+1)")
    vectors = stacked(read(tmp_path / "b.parquet"))
    np.testing.assert_allclose(vectors, stacked(read(tmp_path / "a.parquet")), atol=1e-5)


def test_every_form_of_the_table_holds_the_same_vectors(tmp_path, run, path):
    for suffix in ("parquet", "csv", "tsv", "h5ad"):
        matrix(run, path, tmp_path / f"own.{suffix}")
    expected = read(tmp_path / "own.parquet")
    for suffix, separator in (("csv", ","), ("tsv", "\t")):
        table = pd.read_csv(tmp_path / f"own.{suffix}", sep=separator, index_col="sample_id")
        assert table.index.tolist() == expected.index.tolist()
        np.testing.assert_array_equal(table.to_numpy(np.float32), stacked(expected))
    stored = anndata.read_h5ad(tmp_path / "own.h5ad")
    assert stored.obs_names.tolist() == expected.index.tolist()
    np.testing.assert_array_equal(stored.X, stacked(expected))


def test_the_json_beside_it_says_how_the_vectors_were_made(tmp_path, run, path, capsys):
    matrix(run, path, tmp_path / "own.parquet", summary_scalars=False)
    said = json.loads((tmp_path / "own.json").read_text())
    assert said["weights_sha256"] == sha256(run / "model.safetensors")
    assert (said["weights"], said["licence"], said["unit"]) == ("trained", "MIT", "counts")
    assert (said["n_samples"], said["dimension"]) == (69, 8)
    assert said["samples_left_out"] == ["s5"]
    assert (said["genes"]["genes_measured"], said["genes"]["genes_absent"]) == (34, 6)
    assert said["settings"]["summary_scalars"] is False
    printed = capsys.readouterr().err
    assert "34 of the 40 genes" in printed
    assert "no expression in these genes, and so no vector, for 1 of the samples" in printed


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gene_ids": "symbol"}, r"0\.0% of the model's genes by --gene-ids symbol"),
        ({"min_shared_vocabulary": 0.9}, r"85\.0% .* 90\.0% are asked for"),
        ({"unit": "reads"}, "--unit 'reads'"),
        ({"unit": "tpm"}, "sum to a million"),
        ({"orientation": "samples_in_rows"}, "--orientation"),
    ],
)
def test_a_matrix_that_cannot_be_meant_is_refused_and_nothing_is_written(
    tmp_path, run, path, changes, message
):
    if changes.get("unit") == "tpm":
        (pd.read_csv(path, sep="\t", index_col=0) * 1000).to_csv(path, sep="\t")
    with pytest.raises(InputError, match=message):
        matrix(run, path, tmp_path / "own.parquet", **changes)
    assert not (tmp_path / "own.parquet").exists()


def test_a_model_that_knows_no_entrez_ids_says_so(tmp_path, run, path):
    table = pq.read_table(run / "genes.parquet")
    nothing = pa.nulls(len(table), pa.string())
    table = table.set_column(table.column_names.index("entrez"), "entrez", nothing)
    lists = pa.array([[]] * len(table), pa.list_(pa.string()))
    table = table.set_column(table.column_names.index("other_entrez"), "other_entrez", lists)
    (tmp_path / "run").mkdir()
    pq.write_table(table, tmp_path / "run/genes.parquet")
    with pytest.raises(InputError, match="knows no entrez ids"):
        matrix(tmp_path / "run", path, tmp_path / "own.parquet", gene_ids="entrez")


@pytest.fixture
def published(tmp_path):
    """The published files under the names of the manual, of a network that is small but complete.

    The matrix is by symbols and has 12,000 of the 20,010 genes.
    """
    n_genes = 20_010
    folder = tmp_path / "resources"
    for name in ("bulkformer", "bulkformer_weights", "bulkformer_repository"):
        (folder / name).mkdir(parents=True)
    ends = torch.randint(n_genes, (2, 1000), generator=torch.Generator().manual_seed(0))
    torch.save(ends, folder / "bulkformer/G_tcga.pt")
    torch.save(torch.ones(1000), folder / "bulkformer/G_tcga_weight.pt")
    config = BulkFormerConfig(n_genes=n_genes, dim=4, layers=1, heads=2, features=3)
    model = initialise(config, (*ends, torch.ones(1000)), 1)
    weights = folder / "bulkformer_weights/BulkFormer-37M.safetensors"
    save_file(separate(model.state_dict()), weights)
    ids = pd.Series([f"ENSG{number:011d}" for number in range(n_genes)])
    ids[10] = "ENSG00000141510"
    symbols = [f"GENE{number}" for number in range(n_genes)]
    table = pd.DataFrame({"ensg_id": ids, "gene_symbol": symbols, "length": 1500})
    table.drop_duplicates("ensg_id").to_csv(folder / "bulkformer/bulkformer_gene_info.csv")
    table[["ensg_id", "length"]].to_csv(folder / "bulkformer_repository/gene_length_df.csv")
    counts = np.random.default_rng(0).integers(0, 50, (12_000, 2))
    pd.DataFrame(counts, index=symbols[:12_000], columns=["a", "b"]).to_csv(
        tmp_path / "counts.tsv.gz", sep="\t"
    )
    return tmp_path


def test_the_manual_works_word_by_word(root, published, monkeypatch):
    text = (root / "docs/embedding_your_counts.md").read_text()
    commands = re.findall(r"^```bash\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert len(commands) == 2
    path = f"{os.path.dirname(sys.executable)}{os.pathsep}{os.environ['PATH']}"
    for command in commands:
        subprocess.run(
            ["bash", "-euc", command],
            cwd=published,
            env=os.environ | {"PATH": path, "PYTHONPATH": str(root / "workflow/lib")},
            check=True,
        )
    vectors = read(published / "embeddings.parquet")
    assert vectors.index.tolist() == ["a", "b"]
    assert json.loads((published / "embeddings.json").read_text())["weights"] == "released"
    (snippet,) = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    monkeypatch.chdir(published)
    names: dict = {}
    exec(snippet, names)
    assert names["imputed"].shape == (1, 20_010)
    assert names["vector"].shape == (1, 4 + 3)
    assert names["hidden"].item() < 1  # the gene of the snippet is a gene of the list


def test_the_manual_names_every_option_of_the_command(root):
    text = (root / "docs/embedding_your_counts.md").read_text()
    run = subprocess.run(
        [sys.executable, "-m", "bulkformer.embed.matrix", "--help"],
        env=os.environ | {"PYTHONPATH": str(root / "workflow/lib"), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=True,
    )
    shown = {"--help", "--summary-scalars", "--samples", "--sample-columns", "--format", "--run"}
    for option in set(re.findall(r"--[a-z-]+", run.stdout)) - shown:
        assert f"`{option}`" in text, option
