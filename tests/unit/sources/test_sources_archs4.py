"""ARCHS4 files as HDF5, with the differences between their releases."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from bulkformer.errors import InputError
from bulkformer.sources.archs4_samples import parse_characteristics
from bulkformer.sources.counts import Part
from bulkformer.sources.reader import open_cohort

N_GENES, N_SAMPLES = 7, 23
COUNTS = np.arange(N_GENES * N_SAMPLES, dtype=np.uint32).reshape(N_GENES, N_SAMPLES)


def write_archs4(path: Path, *, gene_field="ensembl_gene", chunks=(3, 4), fixed_length=False):
    samples = {
        "geo_accession": [f"GSM{at}" for at in range(N_SAMPLES - 1)] + ["GSM0"],
        "series_id": ["GSE1, gse2"] * 10 + ["GSE3"] * 13,
        "singlecellprobability": np.linspace(0, 1, N_SAMPLES),
        "alignedreads": np.arange(N_SAMPLES) * 1e6,
        "library_source": ["transcriptomic"] * N_SAMPLES,
        "characteristics_ch1": ["tissue: liver,disease state: steatosis, mild"] * 5
        + ["age: 5"] * 18,
        "relation": ["BioSample: https://www.ncbi.nlm.nih.gov/biosample/SAMN0123,SRA: x"]
        * N_SAMPLES,
        "title": ["µ-sample"] * N_SAMPLES,
    }
    with h5py.File(path, "w") as file:
        file.create_dataset("data/expression", data=COUNTS, chunks=chunks, compression="gzip")
        genes = [f"ENSG{at:011d}" for at in range(N_GENES)]
        file[f"meta/genes/{gene_field}"] = np.array(genes, "S") if fixed_length else genes
        for name, values in samples.items():
            file[f"meta/samples/{name}"] = values
    return path


@pytest.mark.parametrize("gene_field", ["ensembl_gene", "ensembl_gene_id"])
@pytest.mark.parametrize("fixed_length", [False, True])
def test_both_spellings_and_both_string_types_of_gene_ids_are_read(
    tmp_path, gene_field, fixed_length
):
    path = write_archs4(tmp_path / "a.h5", gene_field=gene_field, fixed_length=fixed_length)
    assert open_cohort("archs4", path, None).gene_ids[1] == "ENSG00000000001"


@pytest.mark.parametrize("chunks", [(3, 4), (7, 23), (1, 23), None])
@pytest.mark.parametrize("max_samples", [1, 5, 256])
def test_blocks_together_are_the_transposed_matrix(tmp_path, chunks, max_samples):
    path = tmp_path / "a.h5"
    write_archs4(path, chunks=chunks or True)
    counts = open_cohort("archs4", path, None)
    blocks = list(counts.blocks(max_samples))
    assert all(len(ids) == len(values) <= max_samples for ids, values in blocks)
    assert [i for ids, _ in blocks for i in ids] == counts.samples["sample_id"].tolist()
    values = np.concatenate([values for _, values in blocks])
    assert values.dtype == np.uint32
    np.testing.assert_array_equal(values, COUNTS.T)


def test_reading_starts_at_any_block_and_leaves_genes_out(tmp_path):
    counts = open_cohort("archs4", write_archs4(tmp_path / "a.h5"), None)
    genes = np.array([0, 2, 3, 6])
    whole = list(counts.part(Part(genes, max_samples=5)))
    np.testing.assert_array_equal(np.concatenate([v for _, v in whole]), COUNTS[genes].T)
    ends = np.cumsum([len(ids) for ids, _ in whole])
    for number, start in enumerate([0, *ends]):
        rest = list(counts.part(Part(genes, int(start), 5, threads=2)))
        assert [ids for ids, _ in rest] == [ids for ids, _ in whole[number:]]
        for (_, one), (_, other) in zip(rest, whole[number:], strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.fixture
def labelled(tmp_path):
    path = tmp_path / "samples.tsv"
    path.write_text(
        "gsm\ttissue\tarm\ngsm4\tkidney\tcase\nGSM17 \tNA\tcontrol\nGSM999\tlung\tcase\n"
    )
    return path


def test_a_sample_table_chooses_samples_and_its_labels_come_first(tmp_path, labelled, capsys):
    path = write_archs4(tmp_path / "a.h5")
    counts = open_cohort("archs4", path, labelled, sample_columns="sample_id=gsm;group=arm")
    assert counts.samples["sample_id"].tolist() == ["GSM4", "GSM17"]
    assert counts.samples["group"].tolist() == ["case", "control"]
    assert counts.samples["tissue"].tolist() == ["kidney", None]
    assert counts.samples["disease"].tolist() == ["steatosis, mild", None]
    assert counts.samples["study_id"].tolist() == ["GSE1,GSE2", "GSE3"]
    values = np.concatenate([values for _, values in counts.blocks()])
    np.testing.assert_array_equal(values, COUNTS[:, [4, 17]].T)
    assert "1 of 3 samples" in capsys.readouterr().err


def test_what_the_sample_table_leaves_open_is_taken_from_the_file(tmp_path):
    table = tmp_path / "samples.csv"
    table.write_text("sample_id,tissue\nGSM3,\n")
    samples = open_cohort("archs4", write_archs4(tmp_path / "a.h5"), table).samples
    assert samples["tissue"].tolist() == ["liver"]


def test_a_repeated_sample_is_chosen_as_often_as_the_file_has_it(tmp_path):
    table = tmp_path / "samples.csv"
    table.write_text("sample_id\nGSM0\n")
    counts = open_cohort("archs4", write_archs4(tmp_path / "a.h5"), table)
    values = np.concatenate([values for _, values in counts.blocks()])
    np.testing.assert_array_equal(values, COUNTS[:, [0, 22]].T)


def test_chunks_without_a_chosen_sample_are_not_read(tmp_path, labelled):
    path = write_archs4(tmp_path / "a.h5")
    with h5py.File(path, "r+") as file:
        expression = file["data/expression"]
        for row in range(0, N_GENES, 3):
            for column in [0, 8, 12, 20]:  # all but those of samples 4 and 17
                expression.id.write_direct_chunk((row, column), b"damaged")
    counts = open_cohort("archs4", path, labelled, sample_columns="sample_id=gsm")
    values = np.concatenate([values for _, values in counts.blocks()])
    np.testing.assert_array_equal(values, COUNTS[:, [4, 17]].T)
    with pytest.raises(InputError, match=r"a\.h5.*fetch it again"):
        list(open_cohort("archs4", path, None).blocks())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sample_id\nGSM900\n", "share no sample.*'GSM0'.*'GSM900'"),
        ("sample_id\nGSM3\ngsm3\n", "'GSM3' stands twice"),
        ("sample_id,b\nGSM3,1\n,2\n", "row 2 has no sample id"),
        ("id\nGSM3\n", "no column 'sample_id'"),
    ],
)
def test_a_sample_table_that_cannot_be_joined_is_refused(tmp_path, text, said):
    table = tmp_path / "samples.csv"
    table.write_text(text)
    with pytest.raises(InputError, match=rf"samples\.csv.*{said}|{said}"):
        open_cohort("archs4", write_archs4(tmp_path / "a.h5"), table)


def test_series_lists_are_kept_whole_and_repeated_samples_stay(tmp_path):
    samples = open_cohort("archs4", write_archs4(tmp_path / "a.h5"), None).samples
    assert samples["series_ids"][0] == samples["study_id"][0] == "GSE1,GSE2"
    assert (samples["sample_id"] == "GSM0").sum() == 2


def test_labels_come_from_the_characteristics_and_unknown_ones_are_none(tmp_path):
    samples = open_cohort("archs4", write_archs4(tmp_path / "a.h5"), None).samples
    assert samples["tissue"][0] == "liver"
    assert samples["disease"][0] == "steatosis, mild"
    assert samples["tissue"][20] is None
    assert samples["patient_id"][0] is None
    assert samples["biosample"][0] == "SAMN0123"
    assert samples["library_source"][0] == "transcriptomic"
    assert samples["single_cell_probability"].dtype == float
    assert samples["aligned_reads"][3] == 3e6


def test_other_fields_of_the_file_can_be_asked_for(tmp_path):
    path = write_archs4(tmp_path / "a.h5")
    assert open_cohort("archs4", path, None, sample_columns="note=title").samples["note"][0] == (
        "µ-sample"
    )
    with pytest.raises(InputError, match=r"no field 'colour'.*geo_accession"):
        open_cohort("archs4", path, None, sample_columns="note=colour")


def test_commas_inside_a_characteristic_do_not_end_it():
    assert parse_characteristics("Tissue: skin, sun-exposed,age: 5,tissue: lung,broken") == {
        "tissue": "skin, sun-exposed",
        "age": "5",
    }


def test_a_file_that_is_not_archs4_is_refused(tmp_path):
    text = tmp_path / "a.h5"
    text.write_text("not hdf5")
    with pytest.raises(InputError, match="not a readable HDF5 file"):
        open_cohort("archs4", text, None)
    path = write_archs4(tmp_path / "b.h5")
    with h5py.File(path, "a") as file:
        del file["meta/genes/ensembl_gene"]
        file["meta/genes/symbol"] = ["A"] * N_GENES
    with pytest.raises(InputError, match=r"no Ensembl gene ids.*symbol"):
        open_cohort("archs4", path, None)
    with h5py.File(path, "a") as file:
        file["meta/genes/ensembl_gene"] = ["ENSG00000000001"]
    with pytest.raises(InputError, match="names 1 genes and 23 samples"):
        open_cohort("archs4", path, None)


@pytest.mark.parametrize("part", ["data/expression", "meta/samples/title", "meta"])
def test_a_file_that_leads_to_another_file_is_refused(tmp_path, part):
    other = write_archs4(tmp_path / "private.h5")
    path = write_archs4(tmp_path / "a.h5")
    with h5py.File(path, "a") as file:
        del file[part]
        file[part] = h5py.ExternalLink(other, part)
    name = part.rpartition("/")[2]
    with pytest.raises(InputError, match=rf"a\.h5: '{name}' is a link, or lies in another file"):
        open_cohort("archs4", path, None)


def test_a_truncated_file_is_refused(tmp_path):
    path = write_archs4(tmp_path / "a.h5")
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(InputError, match="fetch it again"):
        open_cohort("archs4", path, None)
