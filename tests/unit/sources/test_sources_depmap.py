"""Expression of DepMap's cell lines, before and after the files changed their form."""

import numpy as np
import pytest

from bulkformer.errors import InputError
from bulkformer.sources.reader import open_cohort

GENES = ["TP53 (7157)", "HLA-A (3105)", "NKX2-5 (1482)", "novel gene"]
TPM = {"ACH-000001": [0, 1, 3, 7], "ACH-000002": [10.5, 0, 0, 1], "ACH-000003": [1, 1, 1, 1]}
MODEL = (
    "ModelID,PatientID,CellLineName,OncotreeLineage,OncotreePrimaryDisease\n"
    'ACH-000002,PT-2,"NCI-H1, clone",Lung,Lung Cancer\n'
    "ACH-000001,PT-1,HeLa,Cervix,\n"
    "ACH-000009,PT-9,none,Skin,Melanoma\n"
    "ACH-000003,PT-1,HeLa S3,Cervix,Cervical Cancer\n"
)


def write(path, rows, described=("",)):
    lines = [",".join([*described, *(f'"{gene}"' for gene in GENES)])]
    for labels, values in rows:
        lines.append(",".join([*labels, *(f"{value:.7f}" for value in np.log2(np.add(values, 1)))]))
    path.write_text("\n".join(lines) + "\n")
    return path


def write_24q4(tmp_path):
    rows = [([model], values) for model, values in TPM.items()]
    return write(tmp_path / "OmicsExpressionProteinCodingGenesTPMLogp1.csv", rows)


def write_26q1(tmp_path, flags="Yes"):
    """Several columns come first, and the first model has a second profile."""
    described = ["", "SequencingID", "ModelID", "IsDefaultEntryForModel", "ModelConditionID"]
    rows = [(["0", "CDS-9", "ACH-000001", "No", "MC-1"], [9, 9, 9, 9])]
    for number, (model, values) in enumerate(TPM.items()):
        rows.append(([str(number + 1), f"CDS-{number}", model, flags, f"MC-{number}"], values))
    return write(tmp_path / "OmicsExpressionTPMLogp1HumanProteinCodingGenes.csv", rows, described)


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "Model.csv"
    path.write_text(MODEL)
    return path


@pytest.mark.parametrize("writer", [write_24q4, write_26q1])
def test_tpm_of_the_default_profiles_come_back(tmp_path, model, writer):
    counts = open_cohort("depmap", writer(tmp_path), model, transform="log2(x+1)")
    assert counts.samples["sample_id"].tolist() == list(TPM)
    values = np.concatenate([block for _, block in counts.blocks(2)])
    np.testing.assert_allclose(values, list(TPM.values()), atol=1e-5)


def test_genes_are_plain_entrez_ids(tmp_path):
    counts = open_cohort("depmap", write_24q4(tmp_path), None)
    assert counts.gene_ids == ["7157", "3105", "1482", "novel gene"]


def test_lines_carry_patient_and_lineage(tmp_path, model):
    samples = open_cohort("depmap", write_24q4(tmp_path), model).samples
    assert samples["cell_line_id"].tolist() == list(TPM)
    assert samples["patient_id"].tolist() == ["PT-1", "PT-2", "PT-1"]
    assert samples["lineage"].tolist() == ["Cervix", "Lung", "Cervix"]
    assert samples["disease"].tolist() == [None, "Lung Cancer", "Cervical Cancer"]
    assert set(samples["study_id"]) == {"DepMap"}
    named = open_cohort("depmap", write_24q4(tmp_path), model, sample_columns="name=CellLineName")
    assert named.samples["name"][1] == "NCI-H1, clone"


def test_without_a_model_table_lines_are_known_by_their_ids(tmp_path):
    samples = open_cohort("depmap", write_26q1(tmp_path), None).samples
    assert samples["cell_line_id"].tolist() == list(TPM)
    assert samples["patient_id"].tolist() == [None] * 3


def test_several_profiles_without_a_default_are_refused(tmp_path):
    rows = [(["ACH-000001"], [1, 1, 1, 1])] * 2
    with pytest.raises(InputError, match="'ACH-000001' has several profiles"):
        open_cohort("depmap", write(tmp_path / "e.csv", rows), None)
    with pytest.raises(InputError, match="no row says Yes in 'IsDefaultEntryForModel'"):
        open_cohort("depmap", write_26q1(tmp_path, flags="No"), None)


def test_what_is_no_expression_file_is_refused(tmp_path):
    path = tmp_path / "e.csv"
    path.write_text("model,TP53,HLA-A\nACH-000001,1,2\n")
    with pytest.raises(InputError, match=r"no column is a gene as 'SYMBOL \(ENTREZ\)'"):
        open_cohort("depmap", path, None)
    path.write_text("<!doctype html>\n<html>\n")  # what the portal sends to programs
    with pytest.raises(InputError, match=r"e\.csv"):
        open_cohort("depmap", path, None)
