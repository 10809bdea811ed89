"""The table that a person sees before the first transfer."""

import json

import pytest

from bulkformer.errors import InputError
from bulkformer.sources.catalogue import COLUMNS
from bulkformer.sources.plan import plan

ROW = dict.fromkeys(COLUMNS, "") | {"licence": "CC0", "citation": "them, 2020"}
ROWS = [
    ROW | {"source": "archs4", "file": "a.h5", "url": "https://x/a", "bytes": "45000000000"},
    ROW | {"source": "hgnc", "file": "set.txt", "url": "https://x/h"},
    ROW | {"source": "gdc", "file": "counts.tar", "listing": "gdc https://x"},
    ROW
    | {"source": "gdsc", "file": "ic50.csv", "url": "https://x/g", "accept": "yes"}
    | {"licence": "research only", "licence_url": "https://x/terms"},
    ROW | {"source": "mine", "file": "b.tsv", "acquired": "by_hand", "instruction": "Ask Ann"},
]
SETTINGS = {"mode": "download", "offline": False, "mirror": "", "accept_licence": []}


@pytest.fixture
def say(tmp_path, capsys):
    """Return a function that makes the plan of all rows and gives its lines and its file."""
    table = tmp_path / "sources.tsv"
    lines = ["\t".join(COLUMNS)]
    lines += [
        "\t".join((row | {"acquired": row["acquired"] or "automatic"}).values()) for row in ROWS
    ]
    table.write_text("\n".join(lines) + "\n")
    needed = [f"{row['source']}/{row['file']}" for row in ROWS]

    def run(names=needed, **settings):
        chosen = SETTINGS | {"lock": str(tmp_path / "lock.yaml")} | settings
        plan(tmp_path / "plan.json", table, json.dumps(chosen), tmp_path / "resources", names)
        text = capsys.readouterr().out
        states = json.loads((tmp_path / "plan.json").read_text())["files"]
        return " ".join(text.split()), states

    return run


def test_the_plan_says_what_comes_and_what_a_person_has_to_do(say):
    text, states = say()
    assert states == {
        "archs4/a.h5": "to fetch",
        "gdc/counts.tar": "to fetch, many files",
        "gdsc/ic50.csv": "licence not accepted",
        "hgnc/set.txt": "to fetch",
        "mine/b.tsv": "by hand, absent",
    }
    assert "archs4/a.h5 45.0 GB to fetch" in text
    assert "3 files are to be fetched: 45.0 GB for 1 of them, the size of 2 is not stated" in text
    for part in ["research only, https://x/terms", "Ask Ann", "accept_licence: [gdsc]", "by_hand"]:
        assert part in text


def test_the_plan_follows_settings_and_what_is_there(say, tmp_path):
    for name in ["by_hand/mine/b.tsv", "hgnc/set.txt"]:
        (tmp_path / "resources" / name).parent.mkdir(parents=True)
        (tmp_path / "resources" / name).touch()
    _, states = say(accept_licence=["gdsc"], offline=True)
    assert states == {
        "archs4/a.h5": "offline, absent",
        "gdc/counts.tar": "offline, absent",
        "gdsc/ic50.csv": "offline, absent",
        "hgnc/set.txt": "on disk",
        "mine/b.tsv": "on disk",
    }


def test_the_plan_hands_the_settings_to_the_downloads(say, tmp_path):
    say(mirror="/copies")
    handed = json.loads((tmp_path / "plan.json").read_text())["settings"]
    assert handed["mirror"] == "/copies"


def test_a_file_without_a_row_is_named(say):
    with pytest.raises(InputError, match="no row for no/such"):
        say(["no/such"])


def test_a_plan_of_nothing_is_no_error(say):
    assert "0 files are to be fetched" in say([])[0]
