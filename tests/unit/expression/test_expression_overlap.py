"""The scan finds exactly the planted copies: of a simulated corpus, and in real cohorts."""

import json

import pandas as pd
import pytest
from copies_world import Copies

from bulkformer.errors import InputError
from bulkformer.expression.duplicates import duplicates
from bulkformer.expression.overlap import overlap

N = 160


@pytest.fixture
def world(tmp_path):
    world = Copies(tmp_path)
    world.counts = world.library(world.specimens(2 * N))
    return world


def look_up(world, cohort, corpus_cohorts, split=None):
    """Return the overlap table and its summary; `split` maps the samples that stayed."""
    found = world.scan(corpus_cohorts)
    names = ("samples.parquet", "sketch.parquet", "log_tpm.arrow")
    if split is None:
        members = [(c, i) for c in corpus_cohorts for i in ids(world, c)]
        gone = set(zip(found["other_cohort"], found["other_sample_id"], strict=True))
        split = {member: "train" for member in members if member not in gone}
    rows = [(*member, part) for member, part in split.items()]
    corpus = world.root / "corpus.parquet"
    pd.DataFrame(rows, columns=["cohort", "sample_id", "split"]).to_parquet(corpus)
    output, summary = (world.root / "overlap" / f"{cohort}.{x}" for x in ("parquet", "json"))
    overlap(
        cohort,
        *(world.path(cohort, name) for name in names),
        corpus,
        world.found,
        corpus_cohorts,
        *(world.paths(name, corpus_cohorts) for name in names),
        world.background,
        0.7,
        output,
        summary,
    )
    return pd.read_parquet(output), json.loads(summary.read_text())


def ids(world, cohort):
    return pd.read_parquet(world.path(cohort, "samples.parquet"))["sample_id"].tolist()


def test_every_kind_of_evidence_is_found_once_and_strangers_are_not(world):
    gsm = [f"GSM{n}" for n in range(N)]
    world.cohort(
        "corpus",
        world.log_tpm(world.counts[:N]),
        sample_id=gsm,
        biosample=[f"SAMN{n}" for n in range(N)],
    )
    eval_counts = world.counts[[3, 4, 5, *range(N, N + 40)]]
    names = ["GSM3", "x4", "x5", *(f"stranger{n}" for n in range(40))]
    world.cohort(
        "test",
        world.log_tpm(world.rng.binomial(eval_counts.astype(int), 0.9)),
        sample_id=names,
        biosample=["SAMN3", "SAMN4", *[None] * 41],
    )
    split = {("corpus", name): ("train" if n != 5 else "validation") for n, name in enumerate(gsm)}
    table, summary = look_up(world, "test", ["corpus"], split)
    assert table[["sample_id", "corpus_sample_id", "corpus_split", "by"]].to_numpy().tolist() == [
        ["GSM3", "GSM3", "train", "sample_id"],
        ["x4", "GSM4", "train", "biosample"],
        ["x5", "GSM5", "validation", "expression"],
    ]
    assert (table["corpus_cohort"] == "corpus").all()
    assert (table["correlation"] > 0.9).all()
    assert summary["n_samples"] == 43
    assert summary["n_shared"] == 3
    assert summary["n_shared_by_kind"] == {"sample_id": 1, "biosample": 1, "expression": 1}
    assert summary["n_shared_by_split"] == {"train": 2, "validation": 1}
    assert summary["accession_pairs_found_by_expression"] == summary["accession_pairs"] == 2


def test_a_sample_whose_copy_left_the_corpus_is_found_in_the_one_that_stayed(world):
    counts = world.counts[:N]
    world.cohort("one", world.log_tpm(counts))
    world.cohort("two", world.log_tpm(counts[:5]), sample_id=[f"again{n}" for n in range(5)])
    world.cohort("test", world.log_tpm(world.counts[N : N + 30]), sample_id=["again2", *"abc"] + [
        f"s{n}" for n in range(26)
    ])  # fmt: skip
    table, _ = look_up(world, "test", ["one", "two"])
    assert table[["sample_id", "corpus_cohort", "corpus_sample_id", "by"]].to_numpy().tolist() == [
        ["again2", "one", "one0002", "sample_id"]
    ]


def test_a_cohort_without_overlap_has_an_empty_table(world):
    world.cohort("corpus", world.log_tpm(world.counts[:N]))
    world.cohort("test", world.log_tpm(world.counts[N:]))
    table, summary = look_up(world, "test", ["corpus"])
    assert table.empty
    assert list(table) == [
        "sample_id", "corpus_cohort", "corpus_sample_id", "corpus_split", "by", "correlation",
    ]  # fmt: skip
    assert summary["n_shared"] == 0
    assert summary["accession_pairs_median_correlation"] is None


def test_a_cohort_of_the_corpus_and_a_corpus_of_another_run_are_refused(world):
    world.cohort("corpus", world.log_tpm(world.counts[:N]))
    world.cohort("test", world.log_tpm(world.counts[:10]))
    with pytest.raises(InputError, match=r"is a cohort of the corpus .*look up other cohorts"):
        look_up(world, "corpus", ["corpus"])
    with pytest.raises(InputError, match="neither sample 'corpus0000' of corpus nor a copy"):
        look_up(world, "test", ["corpus"], {("corpus", "corpus0020"): "train"})


@pytest.mark.real_data
def test_patients_in_two_real_pipelines_are_found_and_no_others(development_data, tmp_path):
    """Three stomach cancers are in both folders, as RSEM and as HTSeq counts."""
    real = real_cohorts(development_data, tmp_path)
    real.sketches()
    names = ("samples.parquet", "sketch.parquet", "log_tpm.arrow")
    duplicates(
        *(real.paths(name) for name in names), real.cohorts, real.background, 0.98, 0.7, real.found
    )
    found = pd.read_parquet(real.found)
    patients = {(row.sample_id[:12], row.other_sample_id[:12]) for row in found.itertuples()}
    assert patients == {(p, p) for p in ("TCGA-BR-8592", "TCGA-FP-7916", "TCGA-BR-A4IV")}
    assert found["correlation"].between(0.75, 0.95).all()


def real_cohorts(data, folder):
    """TCGA through two pipelines and GTEx brain, on the genes that they share, as ln(TPM + 1)."""
    annotation = pd.read_csv(data / "ids/anno_grch38_ensg_entrez_symbol.tsv.gz", sep="\t")
    coding = annotation[annotation["biotype"] == "protein_coding"].dropna(subset=["entrez"])
    coding = coding.drop_duplicates("id").drop_duplicates("entrez")
    genes = coding.assign(entrez=coding["entrez"].astype(int).astype(str)).dropna()
    rsem = pd.read_parquet(data / "tcga_rsem/tcga_rsem_normcount.parquet")
    rsem.index = rsem.index.str.split("|").str[1]
    tables = {
        "rsem": rsem.reindex(genes["entrez"]),
        "htseq": pd.read_parquet(data / "tcga_counts/tcga_stad_blca_counts_ensg.parquet"),
        "brain": pd.read_parquet(data / "gtex_brain/gtex_v6_acc_fc_counts.parquet"),
    }
    world = Copies(folder)
    world.length = genes["eff_length"].to_numpy()
    for name, table in tables.items():
        counts = table if name == "rsem" else table.reindex(genes["id"])
        measured = counts.notna().all(axis=1).to_numpy()
        values = world.log_tpm(counts.fillna(0).to_numpy().T, measured)
        world.cohort(name, values, measured, sample_id=list(table.columns))
    return world
