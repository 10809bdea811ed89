"""The table of all datasets of DiSignAtlas."""

import pytest

from bulkformer.errors import InputError
from bulkformer.sources.disignatlas import read_datasets

HEADER = "dsaid,accession,platform,disease,diseaseid,tissue,data_source,library_strategy,organism"
HEADER += ",control_case_sample_count,definition,deg_count\n"


def datasets(folder, *rows):
    path = folder / "dis_info_datasets"  # the provider gives it no ending
    path.with_suffix(".csv").write_text(HEADER + "".join(rows))
    return read_datasets(path.with_suffix(".csv"))


def row(dataset="DSA00001", samples="3|12"):
    return f'{dataset},GSE1,GPL1,Asthma,C1,Lung,GEO,RNA-Seq,Homo sapiens,{samples},"a, b",7\n'


def test_controls_stand_before_cases(tmp_path):
    table = datasets(tmp_path, row())
    assert table.loc[0, ["dataset_id", "study_id", "disease"]].tolist() == [
        "DSA00001", "GSE1", "Asthma",
    ]  # fmt: skip
    assert (table["n_control"][0], table["n_case"][0]) == (3, 12)


@pytest.mark.parametrize("samples", ["", "3", "a|b", "1|2|3"])
def test_sizes_that_are_not_given_are_none(tmp_path, samples):
    table = datasets(tmp_path, row(samples=samples))
    assert table["n_case"].tolist() == [None]


def test_a_dataset_without_an_id_or_twice_is_refused(tmp_path):
    with pytest.raises(InputError, match="row 1 of the data has no dsaid"):
        datasets(tmp_path, row(dataset=""))
    with pytest.raises(InputError, match="dsaid 'DSA00001' stands twice"):
        datasets(tmp_path, row(), row())
