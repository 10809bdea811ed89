"""ARCHS4 files as HDF5, with the differences between their releases."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from bulkformer.errors import InputError
from bulkformer.sources.archs4 import parse_characteristics, stripe_width
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


def test_stripes_cover_whole_chunks_unless_memory_forbids(tmp_path):
    with h5py.File(write_archs4(tmp_path / "a.h5"), "r") as file:
        expression = file["data/expression"]
        assert stripe_width(expression, 2) == 4
        assert stripe_width(expression, 10) == 8
        assert stripe_width(expression, 10, memory=6 * N_GENES * 4) == 4
        assert stripe_width(expression, 10, memory=3 * N_GENES * 4) == 3


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


def test_a_truncated_file_is_refused(tmp_path):
    path = write_archs4(tmp_path / "a.h5")
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(InputError, match="fetch it again"):
        open_cohort("archs4", path, None)
