"""Prognosis of real TCGA patients: too few to judge a model, enough to judge the measures."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from evaluate_world import World, configuration
from prognosis_world import value

from bulkformer.evaluate.metrics import metrics
from bulkformer.evaluate.tasks.prognosis import prognosis
from bulkformer.evaluate.tasks.prognosis_split import prognosis_split
from bulkformer.outcomes.clinical import clinical
from bulkformer.outcomes.survival import survival
from bulkformer.sources.samples import TCGA_SAMPLE_TYPES, patient_of

pytestmark = pytest.mark.real_data
SETTINGS = {
    "cohort": "tcga_rsem",
    "endpoint": "OS",
    "legacy": {"folds": 5, "components": 30, "trees": 50, "one_sample_per_patient": True},
    "strict": {
        "folds": 5,
        "repeats": 2,
        "components": 30,
        "trees": 20,
        "heads": ["ridge_cox"],
        "elastic_net_dimensions": 2000,
    },
}
TEXT = json.dumps(SETTINGS)
COLUMNS = "patient_id=tcga_id;redaction=Redaction;OS.time=OS_time"
COVARIATES = "patient_id=patient;age=age_at_initial_pathologic_diagnosis;sex=gender"


@pytest.fixture(scope="module")
def world(tmp_path_factory, development_data):
    """Vectors are log expression of the 2,000 genes that vary most; normals are still there."""
    world = World(tmp_path_factory.mktemp("tcga") / "results")
    table = pd.read_parquet(development_data / "tcga_rsem/tcga_rsem_normcount.parquet")
    values = np.log1p(table.to_numpy().T.astype(np.float32))
    values = values[:, np.sort(np.argsort(-values.var(axis=0))[:2000])]
    codes = [re.search(r"-(\d{2})[A-Z]", barcode)[1] for barcode in table.columns]
    labels = {
        "sample_id": table.columns,
        "patient_id": [patient_of(barcode) for barcode in table.columns],
        "sample_type": [TCGA_SAMPLE_TYPES[code] for code in codes],
    }
    world.cohort("tcga_rsem", labels, vectors=values)
    folder = development_data / "tcga_clinical"
    survival(
        table=folder / "tcga_survival.tsv.gz", format="table", endpoint=["OS"], columns=COLUMNS,
        output=world.root / "survival.parquet", summary=world.root / "survival.json",
        keep_redacted=True,
    )  # fmt: skip
    clinical(
        table=folder / "tcga_clinical.tsv.gz", format="table",
        columns=f"{COVARIATES};stage=ajcc_pathologic_tumor_stage",
        output=world.root / "clinical.parquet", summary=world.root / "clinical.json",
    )  # fmt: skip
    prognosis_split(
        world.samples("tcga_rsem"), world.root / "survival.parquet", TEXT, 42,
        world.root / "split.parquet",
    )  # fmt: skip
    return world


def score(world, protocol, *heads):
    path = world.root / f"{protocol}_{'_'.join(heads) or 'own'}.parquet"
    split = world.root / "split.parquet"
    prognosis(
        protocol, "any", split, world.embeddings("tcga_rsem"), world.root / "survival.parquet",
        TEXT, 42, path, world.root / "clinical.parquet", head=list(heads) or None,
    )  # fmt: skip
    output = path.with_suffix(".metrics")
    metrics(
        "prognosis", protocol, "any", path, split, world.ledger(["tcga_rsem"]),
        configuration(TEXT), 200, 42, output,
    )  # fmt: skip
    return pd.read_parquet(output)


def test_patients_count_once_and_normals_never(world):
    folds = pd.read_parquet(world.root / "split.parquet")
    strict = folds[(folds["protocol"] == "strict") & (folds["repeat"] == 0)]
    assert strict["unit"].str[13:15].eq("01").all()
    assert strict["group"].is_unique
    events = strict["stratum"].str.endswith(" event")
    by_cancer = events.groupby(strict["stratum"].str.split().str[0]).agg(["sum", "size"])
    print(by_cancer.to_string())
    # 304 primaries, less those without follow-up; 122 of them died.
    assert 290 < len(strict) <= 304
    assert 115 < events.sum() <= 122


def test_pooled_scores_mostly_tell_cancers_and_scores_within_cancers_say_so(world):
    tables = {
        name: score(world, "strict", *heads)
        for name, heads in {
            "expression": ["ridge_cox"],
            "cancer type only": ["cancer_type"],
            "clinical only": ["clinical"],
            "clinical and expression": ["clinical_and_vectors"],
        }.items()
    }
    shown = ["within_cancer_c_index", "c_index", "uno_c_index", "auc_at_3_years"]
    for name, table in tables.items():
        for metric in shown:
            row = value(table, metric)
            print(
                f"{name}: {metric} {row['value']:.3f} [{row['ci_low']:.3f}, {row['ci_high']:.3f}]"
            )
    within = {name: value(table, "within_cancer_c_index") for name, table in tables.items()}
    for name, row in within.items():
        assert row["ci_low"] <= row["value"] <= row["ci_high"], name
        assert row["ci_unit"] == "patient"
    cancer = tables["cancer type only"]
    assert within["cancer type only"]["value"] == 0.5
    assert value(cancer, "c_index")["ci_low"] > 0.55
    assert within["clinical only"]["value"] > 0.5
    rows = cancer[cancer["group_kind"] == "cancer_type"].set_index("group")
    few = rows.index[rows["condition"].notna()]
    assert set(few) == {"CHOL", "DLBC", "STAD"}
    both = tables["clinical and expression"]
    gain = value(both, "within_cancer_c_index_gain_over_clinical")
    print(f"gain over clinical {gain['value']:.3f} [{gain['ci_low']:.3f}, {gain['ci_high']:.3f}]")
    assert gain["ci_low"] < gain["value"] < gain["ci_high"]


def test_what_the_paper_reports_is_earned_by_the_cancer_type_alone(world):
    by_expression, by_cancer = (score(world, "legacy", *heads) for heads in ([], ["cancer_type"]))
    areas = [value(table, "auroc", "fold_mean") for table in (by_expression, by_cancer)]
    for name, row in zip(["expression", "cancer type"], areas, strict=True):
        print(f"{name}: AUROC {row['value']:.3f} [{row['ci_low']:.3f}, {row['ci_high']:.3f}]")
    assert areas[1]["ci_low"] > 0.55
    assert value(by_cancer, "within_cancer_auroc")["value"] == 0.5
