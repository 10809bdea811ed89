"""What the page says in words, and the names that it uses."""

import re

import pytest


@pytest.fixture
def sections(page):
    """Return {section: its text without tags, styles and drawings}."""
    parts = re.findall(r'<section id="([^"]+)">(.*?)</section>', page, flags=re.S)
    return {name: " ".join(re.sub(r"<[^>]+>", " ", text).split()) for name, text in parts}


def test_strict_is_said_to_keep_apart_the_groups_that_each_dataset_names(sections):
    text = sections["conclusions"]
    assert "keeps the groups that each dataset names (studies, patients or donors) apart" in text
    assert "whole studies, patients and donors" not in text


def test_the_training_mask_and_the_groups_stand_in_the_cards(sections):
    assert "15% is what the model was trained on" in sections["conclusions"]
    assert "Groups of this dataset: patients." in sections["conclusions"]


def test_how_to_read_the_figures_is_said_once_a_section(sections):
    for task in ("imputation", "disease_annotation"):
        assert sections[task].count("How to read the figures") == 1


def test_names_are_those_of_the_csv(sections):
    text = " ".join(sections.values())
    assert "held_out_samples" in text
    for spoken in ("bulkformer random (", "gene mean, the floor", "held out samples,"):
        assert spoken not in text


def test_wide_tables_hint_at_their_hidden_columns_and_narrow_pages_name_each_number(page):
    assert re.search(r"\.scroll \{[^}]*no-repeat local", page)
    assert 'data-label="legacy: Pooled PCC"' in page
