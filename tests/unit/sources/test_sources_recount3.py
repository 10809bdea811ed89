"""recount3 gene sums: base coverage becomes counts, runs become samples."""

import gzip

import numpy as np
import pytest

from bulkformer.errors import InputError
from bulkformer.sources.reader import open_cohort

RUNS = ["SRR1", "SRR2", "SRR3", "SRR4"]
SUMS = {
    "ENSG00000000003.14": [7600, 1000, 0, 50],
    "ENSG00000182378.13": [76, 100, 200, 0],
    "ENSG00000182378.13_PAR_Y": [0, 0, 100, 0],
}
COUNTS = {"SRR1": [100, 1, 0], "SRR2": [20, 2, 0], "SRR3": [0, 2, 1], "SRR4": [0.5, 0, 0]}
METADATA = [  # in another order than the columns, with a run of another project
    ("SRR4", "SRP1", "SRS3", "100"),
    ("SRR3", "SRP1", "SRS1", "100"),
    ("SRR9", "SRP2", "SRS9", "75"),
    ("SRR1", "SRP1", "SRS1", "76.0"),
    ("SRR2", "SRP1", "SRS2", "50"),
]


def write_sums(tmp_path, comments="##annotation=G026\n##date.generated=2020-10-01\n"):
    path = tmp_path / "sra.gene_sums.SRP1.G026.gz"
    rows = [f"{gene}\t" + "\t".join(map(str, values)) for gene, values in SUMS.items()]
    path.write_bytes(
        gzip.compress((comments + "\n".join(["\t".join(["gene_id", *RUNS]), *rows])).encode())
    )
    return path


def write_metadata(tmp_path, rows=METADATA, sample=True, prefix=""):
    columns = ["rail_id", "external_id", "study", f"{prefix}star.average_mapped_length"]
    lines = ["\t".join([*columns, *(["sample_acc"] if sample else [])])]
    for number, (run, study, accession, length) in enumerate(rows):
        line = [str(number), run, study, length, *([accession] if sample else [])]
        lines.append("\t".join(line))
    path = tmp_path / "sra.recount_qc.SRP1.MD.gz"
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    return path


def values_of(counts, max_samples=256):
    return np.concatenate([values for _, values in counts.blocks(max_samples)])


@pytest.mark.parametrize("prefix", ["", "recount_qc."])
def test_base_coverage_is_divided_by_the_mean_length_of_mapped_reads(tmp_path, prefix, capsys):
    metadata = write_metadata(tmp_path, sample=False, prefix=prefix)
    counts = open_cohort("recount3", write_sums(tmp_path), metadata)
    assert counts.samples["sample_id"].tolist() == RUNS
    np.testing.assert_allclose(values_of(counts, 3), [COUNTS[run] for run in RUNS])
    assert set(counts.samples["study_id"]) == {"SRP1"}
    assert "no column sample_acc, so each run counts as a sample" in capsys.readouterr().err


@pytest.mark.parametrize("max_samples", [1, 2, 256])
def test_runs_of_a_sample_are_summed_after_the_division(tmp_path, max_samples):
    counts = open_cohort("recount3", write_sums(tmp_path), write_metadata(tmp_path))
    assert counts.samples["sample_id"].tolist() == ["SRS1", "SRS2", "SRS3"]
    assert counts.samples["run_ids"].tolist() == ["SRR1,SRR3", "SRR2", "SRR4"]
    both = np.add(COUNTS["SRR1"], COUNTS["SRR3"])
    expected = [both, COUNTS["SRR2"], COUNTS["SRR4"]]
    np.testing.assert_allclose(values_of(counts, max_samples), expected)


def test_the_copy_on_y_keeps_its_own_row(tmp_path):
    counts = open_cohort("recount3", write_sums(tmp_path), write_metadata(tmp_path))
    assert counts.gene_ids == list(SUMS)


@pytest.mark.parametrize("comments", ["", "##a\n##b\n##c\n##d\n"])
def test_any_number_of_comments_is_skipped(tmp_path, comments):
    counts = open_cohort("recount3", write_sums(tmp_path, comments), write_metadata(tmp_path))
    assert counts.gene_ids == list(SUMS)


def test_runs_without_mapped_reads_are_left_out_and_counted(tmp_path, capsys):
    rows = [(*row[:3], {"SRR3": "inf", "SRR4": "NA"}.get(row[0], row[3])) for row in METADATA]
    counts = open_cohort("recount3", write_sums(tmp_path), write_metadata(tmp_path, rows))
    assert counts.samples["run_ids"].tolist() == ["SRR1", "SRR2"]
    assert "2 of 4 runs have no mean mapped length" in capsys.readouterr().err


def test_the_column_of_samples_may_be_named(tmp_path):
    counts = open_cohort(
        "recount3", write_sums(tmp_path), write_metadata(tmp_path), sample_columns="sample_id=study"
    )
    assert counts.samples["sample_id"].tolist() == ["SRP1"]
    np.testing.assert_allclose(values_of(counts), [np.sum(list(COUNTS.values()), axis=0)])


def test_sums_without_metadata_are_refused(tmp_path):
    with pytest.raises(InputError, match="needs the metadata of its runs"):
        open_cohort("recount3", write_sums(tmp_path), None)
    table = tmp_path / "other.tsv"
    table.write_text("external_id\tstudy\nSRR1\tSRP1\n")
    with pytest.raises(InputError, match=r"no column 'star\.average_mapped_length'"):
        open_cohort("recount3", write_sums(tmp_path), table)
    rows = [(*row[:3], "0") for row in METADATA]
    with pytest.raises(InputError, match="no run has a mean mapped length"):
        open_cohort("recount3", write_sums(tmp_path), write_metadata(tmp_path, rows))


def test_another_table_is_refused(tmp_path):
    path = tmp_path / "m.tsv"
    path.write_text("##x\ngene\tSRR1\nA\t1\n")
    with pytest.raises(InputError, match=r"line 2 starts with 'gene' and not with\s+'gene_id'"):
        open_cohort("recount3", path, write_metadata(tmp_path))
    path.write_text("##only comments\n")
    with pytest.raises(InputError, match="no data below the comments"):
        open_cohort("recount3", path, write_metadata(tmp_path))
