"""Proteins are read, and their sources fetched, only for a network whose genes begin with them."""

import re

import pytest

from checkout import copy_project, snakemake

pytestmark = pytest.mark.workflow

FROM_PROTEINS = "pretrain: {model: {gene_identity: esm2}"


@pytest.fixture(scope="module")
def project(root, tmp_path_factory):
    return copy_project(root, tmp_path_factory.mktemp("gene_identity") / "project")


def plan(project, overlay, *targets):
    """Return the plan of the paper-scale run with an overlay, and its rules."""
    (project / "overlay.yaml").write_text(overlay)
    run = snakemake(project, "--configfile", "config/config.yaml", "overlay.yaml",
                    "--dry-run", "--cores", "1", "--", "pretrain", *targets)  # fmt: skip
    assert run.returncode == 0, run.stdout[-2000:]
    return run.stdout, set(re.findall(r"^rule (\w+):$", run.stdout, re.MULTILINE))


@pytest.mark.parametrize(
    ("overlay", "made", "read", "spared"),
    [
        (f"{FROM_PROTEINS}}}", "protein_embeddings", "/esm2/", "concat"),
        (
            f"{FROM_PROTEINS}, protein_embeddings: {{source: released}}}}",
            "released_protein_embeddings",
            "esm2_feature_concat.pt",
            "/esm2/",
        ),
    ],
)
def test_training_waits_for_the_embeddings_that_the_config_names(
    project, overlay, made, read, spared
):
    text, rules = plan(project, overlay)
    others = {"protein_embeddings", "released_protein_embeddings"} - {made}
    assert {"train", made} <= rules
    assert not others & rules
    assert f"pretrain/{made}.parquet" in text
    assert read in text
    assert spared not in text


def test_a_learned_table_needs_no_protein(project):
    text, rules = plan(project, "{}", "data")
    assert "train" in rules
    assert not {"protein_embeddings", "released_protein_embeddings"} & rules
    assert "/esm2/" not in text
    assert "pep.all" not in text


def test_esm2_on_disk_takes_the_place_of_the_download(project):
    folder = project / "my"
    folder.mkdir()
    names = ["config.json", "vocab.txt", "tokenizer_config.json", "special_tokens_map.json"]
    for name in [*names, "model.safetensors"]:
        (folder / name).touch()
    overlay = f"{FROM_PROTEINS}, protein_embeddings: {{esm2: my/model.safetensors}}}}"
    text, _ = plan(project, overlay)
    assert "my/vocab.txt" in text
    assert "/esm2/" not in text
