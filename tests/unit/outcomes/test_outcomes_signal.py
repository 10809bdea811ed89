"""What was planted in patients, lines and treated cells can be found in the tables."""

import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from scipy.stats import pearsonr, spearmanr

from bulkformer.outcomes.perturbation import read_genes


@pytest.fixture(scope="module")
def truth(provider_files):
    return json.loads(provider_files["truth"].read_text())


@pytest.fixture(scope="module")
def line_activity(provider_files):
    lines = pq.read_table(provider_files["cell_lines"]).to_pandas()
    return pd.DataFrame(np.stack(lines["activity"]), index=lines["cell_line_id"])


def concordance(risk, time, event):
    """Share of comparable pairs in which the higher risk has the earlier event (Harrell)."""
    earlier = (time[:, None] < time[None, :]) & event[:, None].astype(bool)
    agree = (risk[:, None] > risk[None, :])[earlier]
    return agree.mean()


def test_patients_with_the_active_program_die_earlier(provider_files, outcome_tables, truth):
    survival = pd.read_parquet(outcome_tables["survival.parquet"])
    samples = pq.read_table(provider_files["truth_samples"]).to_pandas()
    samples = samples[samples["disease"] != "control"].drop_duplicates("patient_id")
    activity = dict(zip(samples["patient_id"], samples["activity"], strict=True))
    rows = survival[(survival["endpoint"] == "OS") & survival["patient_id"].isin(activity)]
    risk = np.array([activity[patient][truth["hazard_program"]] for patient in rows["patient_id"]])
    time, event = rows["time_days"].to_numpy(), rows["event"].to_numpy()
    assert concordance(risk, time, event) > 0.65
    assert spearmanr(risk[event == 1], time[event == 1]).statistic < -0.3


def test_each_drug_acts_as_its_program_says(outcome_tables, truth, line_activity):
    response = pd.read_parquet(outcome_tables["response.parquet"])
    drugs = pd.read_parquet(outcome_tables["drugs.parquet"]).set_index("drug_id")
    found = {}
    for drug_id, rows in response.groupby("drug_id"):
        rows = rows[rows["cell_line_id"].isin(line_activity.index)]
        name = drugs.loc[drug_id, "name"]
        program = truth["drug_program"][name]
        found[name] = pearsonr(line_activity.loc[rows["cell_line_id"], program], rows["ln_ic50"])[0]
    assert len(found) == len(truth["drug_program"])
    assert min(found.values()) > 0.75


def test_selective_genes_follow_their_program_and_essential_ones_do_not(
    provider_files, outcome_tables, truth, line_activity
):
    genes = pq.read_table(provider_files["truth_genes"]).to_pandas().set_index("gene_id")
    table = pd.read_parquet(outcome_tables["dependency.parquet"])
    effect = table.pivot(index="cell_line_id", columns="gene_id", values="effect")
    effect = effect[effect.index.isin(line_activity.index)]
    selective = [gene for gene in truth["dependency"]["selective"] if gene in effect]
    correlations = [
        spearmanr(line_activity.loc[effect.index, genes["program"][gene]], effect[gene],
                  nan_policy="omit").statistic
        for gene in selective
    ]  # fmt: skip
    assert np.median(correlations) < -0.8
    essential = [gene for gene in truth["dependency"]["essential"] if gene in effect]
    others = effect.columns.difference([*selective, *essential])
    assert effect[essential].median().max() < -0.7
    assert effect[others].median().abs().max() < 0.2


def test_a_compound_shifts_the_genes_of_its_program(provider_files, outcome_tables, truth):
    genes = pq.read_table(provider_files["truth_genes"]).to_pandas().set_index("gene_id")
    profiles = pd.read_parquet(outcome_tables["perturbation.parquet"])
    measured = [gene["gene_id"] for gene in read_genes(outcome_tables["perturbation.parquet"])]
    values = np.stack(profiles["values"])
    for name, (program, shift) in truth["perturbation_program_and_shift"].items():
        treated = (profiles["perturbagen"] == name) & (profiles["dose_um"] == 10)
        control = profiles["perturbagen_type"] == "ctl_vehicle"
        change = np.nanmean(values[treated], axis=0) - np.nanmean(values[control], axis=0)
        loading = np.array(
            [genes["loadings"][g][0] if genes["program"][g] == program else 0 for g in measured]
        )
        assert pearsonr(loading * np.sign(shift), change)[0] > 0.5, name
