"""The settings column of the models table: what is accepted, and what a typo is answered."""

import csv
from pathlib import Path

import pytest

from bulkformer.embed.autoencoder import AutoencoderSettings
from bulkformer.embed.low_rank import ComponentSettings
from bulkformer.embed.registry import EMBEDDERS, _embedder_class, load
from bulkformer.embed.settings import as_json, parse_settings
from bulkformer.errors import InputError

MODELS = Path(__file__).parents[3] / "config" / "models.tsv"


def model_rows() -> list[dict[str, str]]:
    with MODELS.open(newline="") as handle:
        return list(csv.DictReader(handle, delimiter="\t", quoting=csv.QUOTE_NONE))


def test_a_typo_names_the_key_and_the_known_ones():
    with pytest.raises(InputError, match=r"'component'.*known are components, max_samples"):
        parse_settings("pca", ComponentSettings, '{"component": 50}')


def test_an_embedder_without_settings_says_so(tmp_path):
    with pytest.raises(InputError, match=r"'visible_mean': unknown key 'k'; known are none"):
        load("visible_mean", '{"k": 1}', None, tmp_path / "genes.parquet", 0, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"components": 0}', "positive whole number"),
        ('{"components": 2.5}', "positive whole number"),
        ('{"components": true}', "positive whole number"),
        ('{"components": "50"}', "positive whole number"),
        ("[50]", "not an object"),
        ("{components: 50}", "not JSON"),
    ],
)
def test_values_of_the_wrong_kind_are_refused(text, message):
    with pytest.raises(InputError, match=message):
        parse_settings("pca", ComponentSettings, text)


def test_layer_widths_come_as_a_list():
    settings = parse_settings("vae", AutoencoderSettings, '{"hidden": [64, 32]}')
    assert settings.hidden == (64, 32)
    assert as_json(settings)["hidden"] == [64, 32]
    with pytest.raises(InputError, match="list of numbers"):
        parse_settings("vae", AutoencoderSettings, '{"hidden": 64}')


def test_an_unknown_choice_is_answered_with_the_known_ones():
    kind = _embedder_class("bulkformer").settings_type
    with pytest.raises(InputError, match=r"'pooling'.*known are max, mean"):
        parse_settings("bulkformer", kind, '{"pooling": "maximum"}')


def test_an_unknown_embedder_is_answered_with_the_known_ones(tmp_path):
    with pytest.raises(InputError, match=r"unknown embedder 'scgtp'; known are autoencoder"):
        load("scgtp", "{}", None, tmp_path / "genes.parquet", 0, 1)


@pytest.mark.parametrize("row", model_rows(), ids=lambda row: row["model"])
def test_every_row_of_the_models_table_can_be_served(row):
    kind = _embedder_class(row["embedder"])
    settings = parse_settings(row["embedder"], kind.settings_type, row["settings"])
    needs = {"trained": "run", "random": "run", "fitted": "fit", "none": "nothing"}
    assert kind.needs == needs[row["weights"]]
    if row["embedder"] == "bulkformer":
        assert settings.weights == row["weights"]
    model = kind.__new__(kind)
    for task in row["tasks"].split(","):
        ability = kind.can_impute if task.startswith("imputation") else kind.can_embed
        assert ability.fget(model)


def test_every_embedder_can_do_something():
    for name in EMBEDDERS:
        model = _embedder_class(name).__new__(_embedder_class(name))
        assert model.can_embed or model.can_impute
