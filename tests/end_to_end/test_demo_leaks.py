"""What must not be parted in the demo is not: groups are made anew here, by other means.

The manifests say of themselves that no group is in two folds. Whether the groups are the right ones
is asked here: from the tables of outcomes and samples, with connected components by hand and
scaffolds by RDKit.
"""

import hashlib
from collections import defaultdict

import pandas as pd
import pytest
from rdkit import Chem
from rdkit.Chem.Scaffolds import MurckoScaffold

pytestmark = pytest.mark.end_to_end

TASKS = ["imputation", "imputation_differential", "disease_annotation", "prognosis"]
TASKS += ["drug_response", "perturbation", "gene_essentiality"]
BLOCK = ["dataset", "protocol", "regime", "repeat"]
DERIVED = {"ACH-900005": "ACH-900001", "ACH-900010": "ACH-900006"}  # lines made from other lines


@pytest.fixture(scope="module")
def manifest(results):
    """Return a function: task, and what must hold of rows -> rows of its manifest."""

    def read(task, **where):
        rows = pd.read_parquet(results / f"evaluate/splits/{task}.parquet")
        for column, value in where.items():
            rows = rows[rows[column] == value]
        assert len(rows), where
        return rows

    return read


@pytest.fixture(scope="module")
def table(results):
    def read(name):
        rows = pd.read_parquet(results / name)
        return rows.astype(object).where(rows.notna(), None)

    return read


def components(keys):
    """Return {unit: name of its component}; `keys` holds for each unit what ties it to others."""
    leader = {}

    def find(name):
        while leader.setdefault(name, name) != name:
            name = leader[name]
        return name

    for unit, own in keys.items():
        for key in own:
            if key not in (None, ""):
                leader[find(("key", key))] = find(("unit", unit))
    return {unit: find(("unit", unit)) for unit in keys}


def same_partition(rows, component):
    """Assert that groups of the manifest are the components, and that none is in two folds."""
    pairs = {
        (group, component[unit]) for group, unit in zip(rows["group"], rows["unit"], strict=True)
    }
    assert len(pairs) == rows["group"].nunique() == len({name for _, name in pairs})
    folds = rows.assign(component=[component[unit] for unit in rows["unit"]])
    assert folds.groupby(["repeat", "component"])["fold"].nunique().max() == 1
    assert folds["fold"].nunique() > 1


@pytest.mark.parametrize("task", TASKS)
def test_a_group_is_in_one_fold_and_a_unit_in_it_once(manifest, task):
    rows = manifest(task)
    assert not rows.duplicated([*BLOCK, "unit"]).any()
    strict = rows[rows["protocol"] == "strict"]
    assert (strict.groupby([*BLOCK, "group"])["fold"].nunique() == 1).all()


@pytest.mark.parametrize("task", TASKS)
def test_every_number_names_the_manifest_that_it_came_from(results, metrics, task):
    path = results / f"evaluate/splits/{task}.parquet"
    own = hashlib.sha256(path.read_bytes()).hexdigest()
    assert path.with_name(f"{path.name}.sha256").read_text().split()[0] == own
    assert set(metrics.loc[metrics["task"] == task, "split_sha256"]) == {own}


@pytest.mark.parametrize(
    ("task", "models"),
    [
        ("prognosis", ["log_tpm", "cancer_type_only", "bulkformer"]),
        ("disease_annotation", ["log_tpm", "study_oracle", "bulkformer"]),
        ("gene_essentiality", ["log_tpm", "lineage_mean"]),
        ("drug_response", ["log_tpm", "drug_mean"]),
        ("perturbation", ["log_tpm", "mean_delta"]),
    ],
)
def test_models_are_tested_in_the_folds_of_the_manifest_and_nowhere_else(
    results, manifest, task, models
):
    rows = manifest(task, protocol="strict")
    # Where drugs or genes are held out, they and not the lines are the units.
    unit = {"held_out_scaffolds": "drug_id", "held_out_genes": "target_id"}
    for model in models:
        path = results / f"evaluate/{task}/strict/{model}/predictions.parquet"
        tested = pd.read_parquet(path)
        for (dataset, regime), part in tested.groupby(["dataset", "regime"], observed=True):
            frozen = rows[(rows["dataset"] == dataset) & (rows["regime"] == regime)]
            key = [unit.get(regime, "sample_id"), "repeat", "fold"]
            own = set(part[key].astype(str).itertuples(index=False, name=None))
            known = frozen[["unit", "repeat", "fold"]].astype(str)
            assert own <= set(known.itertuples(index=False, name=None)), (model, regime)


def test_patients_are_whole(manifest, table):
    samples = table("expression/tcga/samples.parquet").set_index("sample_id")
    keys = {sample: [patient] for sample, patient in samples["patient_id"].items()}
    patients = components(keys)
    same_partition(manifest("prognosis", protocol="strict"), patients)
    where = {"dataset": "tcga_cancer_type", "regime": "grouped_folds"}
    same_partition(manifest("disease_annotation", **where), patients)
    # Legacy folds are those of the paper: a patient may be on both sides, which is what they show.
    assert len(set(samples["patient_id"])) < len(samples)


@pytest.mark.parametrize(
    ("dataset", "cohort", "column"),
    [("gtex_tissue", "gtex", "donor_id"), ("disignatlas_disease", "disignatlas", "study_id")],
)
def test_donors_and_studies_are_whole(manifest, table, dataset, cohort, column):
    samples = table(f"expression/{cohort}/samples.parquet").set_index("sample_id")
    keys = {sample: str(cell).split(",") for sample, cell in samples[column].items()}
    rows = manifest("disease_annotation", dataset=dataset, regime="grouped_folds")
    same_partition(rows, components(keys))


def test_nothing_of_a_held_out_study_was_learned_from(manifest, table):
    """Studies are joined by superseries, by a shared BioSample and by copies of a sample."""
    samples = table("expression/archs4/samples.parquet").set_index("sample_id")
    copies = table("expression/duplicates.parquet")
    keys = defaultdict(list)
    for sample, row in samples.iterrows():
        keys[sample] += [f"study {name.strip()}" for name in row["study_id"].split(",")]
        keys[sample].append(row["biosample"])
    for number, pair in enumerate(zip(copies["sample_id"], copies["other_sample_id"], strict=True)):
        for sample in pair:
            keys[sample].append(f"copy {number}")
    group = components(keys)
    corpus = table("expression/corpus.parquet")
    learned = corpus.loc[corpus["split"].isin(["train", "validation"]), "sample_id"]
    tested = manifest("imputation", dataset="corpus", protocol="strict")["unit"]
    assert not {group[sample] for sample in learned} & {group[sample] for sample in tested}


def test_a_cell_line_stays_with_its_patient_and_with_lines_made_from_it(manifest, table):
    lines = table("outcomes/cell_lines.parquet").set_index("cell_line_id")
    keys = {
        line: [
            f"patient {row['patient_id']}",
            f"line {line}",
            row["parent"] and f"line {row['parent']}",
        ]
        for line, row in lines.iterrows()
    }
    group = components(keys)
    samples = table("expression/depmap/samples.parquet").set_index("sample_id")["cell_line_id"]
    of_sample = {sample: group[line] for sample, line in samples.items() if line in group}
    for task in ("drug_response", "gene_essentiality"):
        rows = manifest(task, regime="held_out_lines")
        same_partition(rows, of_sample | group)
        fold = rows.set_index("unit")["fold"]
        tested = {new: old for new, old in DERIVED.items() if {new, old} <= set(fold.index)}
        assert tested
        assert all(fold[new] == fold[old] for new, old in tested.items())


def test_tissues_are_whole_and_patients_in_them(manifest, table):
    lines = table("outcomes/cell_lines.parquet").set_index("cell_line_id")
    keys = {
        line: [f"lineage {row['lineage']}", f"patient {row['patient_id']}"]
        for line, row in lines.iterrows()
    }
    group = components(keys)
    same_partition(manifest("drug_response", regime="held_out_tissues"), group)
    same_partition(manifest("gene_essentiality", regime="held_out_lineages"), group)


def family(smiles):
    """Return the Bemis-Murcko scaffold of the largest part, or the skeleton of what has no ring."""
    parts = Chem.GetMolFrags(Chem.MolFromSmiles(smiles), asMols=True)
    molecule = max(parts, key=lambda part: part.GetNumHeavyAtoms())
    ring = Chem.MolToSmiles(MurckoScaffold.GetScaffoldForMol(molecule))
    return ring or Chem.MolToInchiKey(molecule).split("-")[0]


def test_drugs_of_one_scaffold_are_in_one_fold(manifest, table):
    drugs = table("outcomes/drugs.parquet").set_index("drug_id")["smiles"].dropna()
    keys = {drug: [family(smiles)] for drug, smiles in drugs.items()}
    same_partition(manifest("drug_response", regime="held_out_scaffolds"), components(keys))


def test_treated_profiles_stay_with_compound_cell_or_plate(manifest, table):
    profiles = table("evaluate/perturbation/pairs/treated.parquet").set_index("profile_id")
    outcomes = table("outcomes/perturbation.parquet")
    controls = outcomes[outcomes["kind"] == "control"]
    # Controls of a profile: of its own plate, or else of all plates with the same cells and time.
    same_place = controls.groupby(["cell_id", "time_h"])["plate"].agg(set)
    compound, plate = {}, {}
    for profile, row in profiles.iterrows():
        compound[profile] = [family(row["smiles"]), row["perturbagen_id"], row["perturbagen"]]
        own = {row["plate"]} | (
            set() if row["controls"] == "plate" else same_place[row["cell_id"], row["time_h"]]
        )
        plate[profile] = sorted(own)
    assert set(profiles["controls"]) == {"plate", "cell_and_time"}
    cell = {profile: [name] for profile, name in profiles["cell_id"].items()}
    for regime, keys in (
        ("held_out_compounds", compound),
        ("held_out_cells", cell),
        ("held_out_plates", plate),
    ):
        same_partition(manifest("perturbation", regime=regime), components(keys))
