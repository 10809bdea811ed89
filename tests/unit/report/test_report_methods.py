"""The methods name what this run did, and disclose the choices that the paper leaves open."""

import pytest

from bulkformer.report.methods import assumed, methods


def config(group_by, gene_start="random"):
    return {
        "expression": {"corpus": {"group_by": group_by, "held_out_group_fraction": 0.1}},
        "pretrain": {"training": {"gene_start": gene_start}},
    }


@pytest.mark.parametrize(
    ("group_by", "groups"),
    [
        (["study_id"], "studies"),
        (["patient_id"], "patients"),
        (["study_id", "patient_id"], "groups that share study or patient"),
    ],
)
def test_test_groups_are_called_what_they_are_in_this_run(group_by, groups):
    settings = config(group_by)
    (imputation,) = (
        block for block in methods(settings, ["imputation"]) if block.heading == "Imputation"
    )
    terms = dict(imputation.terms)
    assert f"test {groups} that training never saw" in terms["strict"]
    assert f"other samples of their {groups}" in terms["legacy"]
    choices = dict(assumed(settings))
    assert choices[f"strict test {groups}"] == "10 %"
    assert f"{groups} that choose the weights" in choices


@pytest.mark.parametrize(
    ("gene_start", "words"),
    [
        ("random", "random, as in the paper"),
        ("principal_components", "principal components of the training samples"),
    ],
)
def test_the_start_of_the_gene_table_is_disclosed(gene_start, words):
    assert dict(assumed(config(["study_id"], gene_start)))["start of the gene table"].startswith(
        words
    )


def test_the_start_of_the_last_bias_is_disclosed_for_the_untrained_control_too():
    assert (
        "untrained control alike" in dict(assumed(config(["study_id"])))["start of the last bias"]
    )


def test_permuted_labels_and_probabilities_of_support_vectors_are_explained():
    (controls,) = (block for block in methods({}, []) if block.heading == "Controls")
    said = dict(controls.terms)
    assert "training and test rows alike" in said["permuted labels"]
    assert "softmax of its decision values" in said["probabilities of a support vector machine"]
