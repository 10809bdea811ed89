"""Weights that were trained elsewhere say so wherever a reader meets their numbers."""

import json

import pandas as pd
import pyarrow.parquet as pq
import pytest


def as_mode(arguments, mode, weights):
    """Change the inputs of a report to those of a run of that mode."""
    training = json.loads(arguments["training"].read_text())
    arguments["training"].write_text(json.dumps({**training, "mode": mode}))
    for path in [arguments["metrics"], *arguments["exposure"]]:
        table = pd.read_parquet(path)
        table.loc[table["model"] == "bulkformer", "weights"] = weights
        if path != arguments["metrics"]:
            table.loc[table["model"] == "bulkformer", ["exposure", "evidence"]] = ["unknown", "?"]
        table.to_parquet(path)


@pytest.mark.parametrize(
    ("mode", "weights", "said"),
    [
        ("released", "released", "nothing was trained here"),
        ("fine-tune", "fine_tuned", "Training went on from released weights"),
    ],
)
def test_the_page_says_that_weights_were_released(arguments, page_of, mode, weights, said):
    as_mode(arguments, mode, weights)
    history = pq.read_table(arguments["history"])
    if mode == "released":
        pq.write_table(history.slice(0, 0), arguments["history"])
    page = page_of(arguments)
    assert said in page
    assert "bulkformer: weights that were trained elsewhere" in page
    assert page.count("released weights") > 3
    assert ("The history of the training is empty" in page) == (mode == "released")


def test_a_run_of_its_own_says_nothing_of_released_weights(page):
    assert "trained elsewhere" not in page
    assert "chose the weights that were kept" in page
