"""The ledger says what a model has seen, with which evidence, and never clears the unknown."""

import json
from pathlib import Path

import pandas as pd
import pytest
from evaluate_world import World

from bulkformer.errors import InputError
from bulkformer.evaluate.exposure import (
    LEARNS_FROM,
    WORST_FIRST,
    Ledger,
    exposure,
    rests_on_samples,
)

MODELS = (
    '{"bulkformer": "trained", "untrained": "random", "pca": "fitted", "log_tpm": "none",'
    ' "downloaded": "released"}'
)
SPLIT = ["train", "train", "validation", "held_out_samples", "held_out_groups", "held_out_groups"]


@pytest.fixture
def seen_world(world: World) -> World:
    """A corpus of six samples, and three cohorts: a copy, a validation sibling, a stranger."""
    studies = ["GSE1", "GSE2", "GSE3", "GSE1", "GSE5", "GSE5"]
    patients = ["P1", None, None, None, None, None]
    corpus = world.cohort("corpus", {"study_id": studies, "patient_id": patients})
    pd.DataFrame({"cohort": "corpus", "sample_id": corpus["sample_id"], "split": SPLIT}).to_parquet(
        world.corpus
    )
    world.cohort("copy", {"sample_id": ["corpus_0000", "x"], "patient_id": ["P9", "P1"]})
    world.cohort("sibling", {"study_id": ["GSE8", "GSE9,GSE3"]})
    world.cohort("stranger", {"study_id": ["GSE8", "GSE5"]})
    return world


ORIGINS = {
    "coexpression": "training samples of the corpus",
    "string": "external",
    "union": {"coexpression": "training samples of the corpus", "string": "external"},
    "union_of_external": {"string": "external", "gene_ontology": "external"},
}


def summary_of(world: World, graph: str) -> Path:
    """Write the JSON that stands beside a graph."""
    path = world.root / f"{graph}.json"
    path.write_text(json.dumps({"graph": graph, "origin": ORIGINS[graph]}))
    return path


def ledger(world: World, graph: str) -> pd.DataFrame:
    path = world.root / "exposure.parquet"
    cohorts = ["corpus", "copy", "sibling", "stranger"]
    paths = [world.samples(cohort) for cohort in cohorts]
    exposure(world.corpus, cohorts, paths, MODELS, path, summary_of(world, graph))
    return pd.read_parquet(path).set_index(["model", "cohort", "regime"]).sort_index()


def test_states_follow_what_weights_and_graph_were_made_from(seen_world: World) -> None:
    states = ledger(seen_world, "coexpression")["exposure"]
    expected = {
        ("bulkformer", "copy"): "seen_unlabelled",
        ("bulkformer", "sibling"): "seen_unlabelled",  # by a validation sample's study
        ("bulkformer", "stranger"): "clean",
        ("untrained", "copy"): "seen_in_graph",
        ("untrained", "sibling"): "clean",
        ("pca", "copy"): "seen_unlabelled",
        ("pca", "sibling"): "clean",
        ("log_tpm", "copy"): "clean",
        ("downloaded", "stranger"): "unknown",
    }
    for (model, cohort), state in expected.items():
        assert states[model, cohort, "all_samples"] == state


def test_a_graph_from_elsewhere_does_not_expose_an_untrained_model(seen_world: World) -> None:
    assert ledger(seen_world, "string")["exposure"]["untrained", "copy", "all_samples"] == "clean"


def test_held_out_samples_are_siblings_of_training_and_held_out_groups_are_not(
    seen_world: World,
) -> None:
    rows = ledger(seen_world, "string").loc["bulkformer", "corpus"]
    assert rows["exposure"].to_dict() == {
        "all_samples": "seen_unlabelled",
        "held_out_samples": "seen_unlabelled",
        "held_out_groups": "clean",
    }
    siblings = rows.loc["held_out_samples"]
    assert (siblings["shared_samples"], siblings["shared_studies"]) == (0, 1)


def test_evidence_counts_samples_patients_and_studies(seen_world: World) -> None:
    row = ledger(seen_world, "string").loc[("bulkformer", "copy", "all_samples")]
    assert (row["shared_samples"], row["shared_patients"], row["shared_studies"]) == (1, 1, 0)
    assert row["evidence"] == "trained on: 1 of 2 samples themselves; 1 of 2 samples' patient"


def test_the_worst_cohort_decides_and_an_unknown_model_is_an_error(seen_world: World) -> None:
    ledger(seen_world, "coexpression")
    read = Ledger.read(Path(seen_world.root / "exposure.parquet"))
    assert read.state("pca", ["stranger", "copy"], "external") == "seen_unlabelled"
    assert read.state("pca", ["corpus"], "held_out_groups") == "clean"
    with pytest.raises(InputError, match="no row for model 'nobody'"):
        read.weights("nobody")


def test_a_union_with_coexpression_exposes_like_coexpression_itself(seen_world: World) -> None:
    coexpression, union = (ledger(seen_world, graph) for graph in ("coexpression", "union"))
    assert union["exposure"].tolist() == coexpression["exposure"].tolist()


def test_a_union_of_graphs_from_elsewhere_exposes_nothing(seen_world: World) -> None:
    states = ledger(seen_world, "union_of_external")["exposure"]
    assert states["untrained", "copy", "all_samples"] == "clean"


def test_a_graph_that_does_not_say_where_it_comes_from_is_an_error(seen_world: World) -> None:
    path = seen_world.root / "nameless.json"
    path.write_text("{}")
    with pytest.raises(InputError, match=r"nameless\.json: does not say"):
        rests_on_samples(path)


def write_overlap(world: World, cohort: str, rows: list[tuple[str, ...]]) -> Path:
    """Write the overlap table of a cohort from (sample_id, corpus_split, by, corpus_sample_id)."""
    path = world.root / "overlap" / f"{cohort}.parquet"
    path.parent.mkdir(exist_ok=True)
    columns = ["sample_id", "corpus_split", "by", "corpus_sample_id"]
    pd.DataFrame([(*row, "?")[:4] for row in rows], columns=columns, dtype=object).to_parquet(path)
    return path


@pytest.fixture
def scanned_ledger(seen_world: World) -> pd.DataFrame:
    """The stranger was trained on after all: once by BioSample, once by its profile."""
    overlaps = {
        "copy": [("corpus_0000", "train", "sample_id")],
        "stranger": [
            ("stranger_0000", "train", "biosample"),
            ("stranger_0000", "train", "expression"),
            ("stranger_0001", "validation", "expression"),
        ],
        "sibling": [("sibling_0000", "held_out_groups", "expression")],
    }
    path = seen_world.root / "scanned.parquet"
    cohorts = ["corpus", "copy", "sibling", "stranger"]
    exposure(
        seen_world.corpus,
        cohorts,
        [seen_world.samples(cohort) for cohort in cohorts],
        MODELS,
        path,
        summary_of(seen_world, "string"),
        overlap_cohort=list(overlaps),
        overlap=[write_overlap(seen_world, cohort, rows) for cohort, rows in overlaps.items()],
    )
    return pd.read_parquet(path).set_index(["model", "cohort", "regime"]).sort_index()


def test_a_copy_under_another_name_counts_as_seen_and_the_evidence_says_how(
    scanned_ledger: pd.DataFrame,
) -> None:
    row = scanned_ledger.loc[("bulkformer", "stranger", "all_samples")]
    assert row["exposure"] == "seen_unlabelled"
    assert row["evidence"] == (
        "trained on: 1 of 2 samples' BioSample; 1 of 2 samples' expression profile"
    )
    assert (row["shared_samples"], row["shared_biosamples"], row["shared_profiles"]) == (0, 1, 1)
    # A model that is fitted to the training samples alone never saw the validation sample's copy.
    row = scanned_ledger.loc[("pca", "stranger", "all_samples")]
    assert (row["shared_biosamples"], row["shared_profiles"]) == (1, 0)


def test_a_sample_seen_by_accession_is_not_counted_once_more(scanned_ledger: pd.DataFrame) -> None:
    row = scanned_ledger.loc[("bulkformer", "copy", "all_samples")]
    assert (row["shared_samples"], row["shared_profiles"]) == (1, 0)


def test_a_copy_that_nobody_learned_from_exposes_nobody(scanned_ledger: pd.DataFrame) -> None:
    row = scanned_ledger.loc[("pca", "sibling", "all_samples")]
    assert row["exposure"] == "clean"
    assert row["evidence"].endswith("nor a copy by BioSample or expression")


def test_single_validation_samples_were_not_learned_from_but_their_studies_were(
    world: World,
) -> None:
    corpus = world.cohort("corpus", {"study_id": ["GSE1", "GSE1", "GSE3", "GSE5"]})
    split = ["train", "validation_samples", "validation", "held_out_groups"]
    pd.DataFrame({"cohort": "corpus", "sample_id": corpus["sample_id"], "split": split}).to_parquet(
        world.corpus
    )
    # The same sample: by its accession, and as a copy under another name and another study.
    world.cohort("again", {"sample_id": ["corpus_0001"]})
    world.cohort("copy", {"study_id": ["E-1"]})
    world.cohort("copy_of_held_out", {"study_id": ["E-2"]})
    cohorts = ["corpus", "again", "copy", "copy_of_held_out"]
    overlaps = {
        "copy": [("copy_0000", "validation_samples", "expression", "corpus_0001")],
        "copy_of_held_out": [
            ("copy_of_held_out_0000", "held_out_groups", "expression", "corpus_0003")
        ],
    }
    path = world.root / "exposure.parquet"
    exposure(
        world.corpus, cohorts, [world.samples(cohort) for cohort in cohorts], MODELS, path,
        summary_of(world, "string"), overlap_cohort=list(overlaps),
        overlap=[write_overlap(world, cohort, rows) for cohort, rows in overlaps.items()],
    )  # fmt: skip
    rows = pd.read_parquet(path).set_index(["model", "cohort", "regime"])
    for model in ("bulkformer", "pca"):
        for cohort in ("again", "copy"):
            assert rows.loc[model, cohort, "all_samples"]["evidence"] == (
                "trained on: 1 of 1 samples' study"
            )
        assert rows.loc[model, "copy_of_held_out", "all_samples"]["exposure"] == "clean"


@pytest.mark.parametrize("column", ["cell_line_id", "cell_id"])
def test_cell_lines_are_never_cleared_by_a_corpus_that_does_not_name_its_lines(
    world: World, column: str
) -> None:
    world.cohort("corpus", {"study_id": ["GSE1", "GSE2"]})
    learned = {"cohort": "corpus", "sample_id": ["corpus_0000", "corpus_0001"], "split": "train"}
    pd.DataFrame(learned).to_parquet(world.corpus)
    world.cohort("lines", {column: ["ACH-1", "ACH-2"]})
    world.cohort("patients", {"patient_id": ["P1", "P2"]})
    models = '{"bulkformer": "trained", "pca": "fitted", "untrained": "random", "raw": "none"}'
    path = world.ledger(["corpus", "lines", "patients"], models)
    rows = pd.read_parquet(path).set_index(["cohort", "model"])
    states = rows["exposure"]
    assert states["lines", "bulkformer"] == states["lines", "pca"] == "unknown"
    assert "other cultures of these may be in it" in rows["evidence"]["lines", "pca"]
    # What learned from nothing has seen nothing; and patients have names of their own.
    assert states["lines", "untrained"] == states["lines", "raw"] == "clean"
    assert states["patients", "bulkformer"] == "clean"


# What tasks test on: patients (annotation, prognosis, imputation), studies, lines, treated cells.
TESTED = {
    "patients": {"patient_id": ["P1", "P2"]},
    "series": {"study_id": ["GSE7", "GSE8"]},
    "lines": {"cell_line_id": ["ACH-1", "ACH-2"]},
    "treated": {"cell_id": ["A375", "MCF7"]},
}


@pytest.fixture(scope="module")
def models_table() -> pd.DataFrame:
    table = Path(__file__).parents[3] / "config/models.tsv"
    return pd.read_csv(table, sep="\t", keep_default_na=False).set_index("model")


def test_every_model_has_one_of_four_states_in_every_cohort_and_held_out_part(
    seen_world: World, models_table: pd.DataFrame
) -> None:
    for cohort, columns in TESTED.items():
        seen_world.cohort(cohort, columns)
    cohorts, path = ["corpus", *TESTED], seen_world.root / "exposure.parquet"
    exposure(
        seen_world.corpus, cohorts, [seen_world.samples(each) for each in cohorts],
        json.dumps(models_table["weights"].to_dict()), path, summary_of(seen_world, "coexpression"),
    )  # fmt: skip
    rows = pd.read_parquet(path)
    parts = [("corpus", "held_out_samples"), ("corpus", "held_out_groups")]
    parts += [(cohort, "all_samples") for cohort in cohorts]
    expected = {(model, *part) for model in models_table.index for part in parts}
    assert set(rows[["model", "cohort", "regime"]].itertuples(index=False, name=None)) == expected
    assert len(rows) == len(expected)
    assert set(rows["exposure"]) <= set(WORST_FIRST)
    assert rows["evidence"].str.len().min() > 0
    # Learning inside the fold only is learning nothing from the corpus, on lines as on patients.
    assert set(rows.loc[rows["weights"] == "none", "exposure"]) == {"clean"}
    # A baseline of imputation learns from the corpus, and so do siblings of its held-out samples.
    fitted = rows[rows["weights"] == "fitted"].groupby(["cohort", "regime"])["exposure"].unique()
    assert fitted["corpus", "held_out_samples"].tolist() == ["seen_unlabelled"]
    assert fitted["corpus", "held_out_groups"].tolist() == ["clean"]
    assert fitted["lines", "all_samples"].tolist() == ["unknown"]


def test_the_table_says_of_every_model_where_its_weights_come_from(
    models_table: pd.DataFrame,
) -> None:
    assert set(models_table["weights"]) <= set(LEARNS_FROM)
    in_the_fold = models_table["embedder"].isin(
        ["log_tpm", "library_size", "visible_mean", "left_out"]
    )
    assert set(models_table.loc[in_the_fold, "weights"]) == {"none"}
    assert (models_table.loc[~in_the_fold, "weights"] != "none").all()
