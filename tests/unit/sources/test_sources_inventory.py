"""The inventory: which bytes a run rests on, and what vouches for each file."""

import hashlib
import json
import os
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from test_sources_catalogue import ROW, write

from bulkformer.errors import InputError
from bulkformer.sources import inventory as module
from bulkformer.sources.inventory import inventory

CONTENT = b"protein1 protein2 combined_score\n"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
MD5 = hashlib.md5(CONTENT).hexdigest()
ENTRY = {"sha256": SHA256, "bytes": len(CONTENT), "version": "12.0", "retrieved": "2020-02-03"}
UNKNOWN = {"checksum": "", "bytes": ""}


class World:
    """One file of the sources table, a lock file, and the step on them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "resources/string/links.txt.gz"
        self.file.parent.mkdir(parents=True)
        self.file.write_bytes(CONTENT)
        self.lock = folder / "sources.lock.yaml"
        self.output = folder / "results/inventory.parquet"
        self.files = {"string/links.txt.gz": str(self.file)}

    def locked(self, **changes: object) -> None:
        self.lock.write_text(yaml.safe_dump({"string/links.txt.gz": ENTRY | changes}))

    def run(self, simulated: bool = False, **row: str) -> list[dict[str, object]]:
        table = write(self.folder / "sources.tsv", ROW | row)
        inventory(table, json.dumps(self.files), self.lock, self.output, simulated)
        return pq.read_table(self.output).to_pylist()


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


@pytest.mark.parametrize("checksum", [f"sha256:{SHA256}", f"md5:{MD5}"])
def test_a_file_is_compared_with_the_checksum_of_the_table(world, checksum):
    (row,) = world.run(checksum=checksum, bytes=str(len(CONTENT)))
    assert row == {
        "source": "string",
        "file": "links.txt.gz",
        "version": "12.0",
        "bytes": len(CONTENT),
        "sha256": SHA256,
        "checked": "checksum of the table",
        "url": ROW["url"],
        "retrieved": None,
        "licence": "CC BY 4.0",
        "licence_url": ROW["licence_url"],
        "citation": "Somebody 2020",
    }


def test_a_file_put_in_place_by_hand_that_is_not_the_right_one_is_refused(world):
    with pytest.raises(InputError, match=f"its md5 is {MD5} instead of the {'0' * 32}"):
        world.run(bytes="")
    with pytest.raises(InputError, match=rf"{len(CONTENT)} bytes instead of the 123"):
        world.run(checksum="")
    assert not world.output.exists()


def test_without_a_checksum_the_lock_file_vouches_for_the_file(world):
    world.locked(url="https://mirror.org/links.txt.gz")
    (row,) = world.run(**UNKNOWN)
    assert row["checked"] == "lock"
    assert row["retrieved"] == "2020-02-03"
    assert row["url"] == "https://mirror.org/links.txt.gz"


def test_a_file_that_is_as_old_as_its_entry_was_recorded_first_and_not_compared(world):
    world.locked()
    moment = 1_580_688_000  # 2020-02-03, 00:00 UTC
    os.utime(world.file, (moment, moment))
    (row,) = world.run(**UNKNOWN)
    assert row["checked"] == "recorded first time"


def test_a_file_that_differs_from_the_lock_is_refused_with_both_values(world):
    world.locked(sha256="1" * 64)
    with pytest.raises(InputError) as error:
        world.run(**UNKNOWN)
    for part in (str(world.file), SHA256, "1" * 64, str(world.lock), "2020-02-03"):
        assert part in str(error.value)


def test_an_entry_about_another_release_says_nothing(world):
    world.locked(sha256="1" * 64, version="11.5")
    assert [row["checked"] for row in world.run(**UNKNOWN)] == ["local file"]


def test_a_release_that_was_known_only_at_the_download_comes_from_the_lock(world):
    world.locked(version="Data Release 42.0")
    assert [row["version"] for row in world.run(version="", **UNKNOWN)] == ["Data Release 42.0"]


def test_a_file_of_the_user_is_listed_with_its_path(world, tmp_path):
    mine = tmp_path / "biopsies.tsv"
    mine.write_text("mine")
    world.files = {"$COHORTS/biopsies.tsv": str(mine)}
    (row,) = world.run()
    assert (row["source"], row["file"]) == ("local", "$COHORTS/biopsies.tsv")
    assert (row["checked"], row["url"]) == ("local file", str(mine))
    assert row["citation"] is None


def test_a_file_of_the_user_is_no_simulated_one(world, tmp_path):
    mine = tmp_path / "biopsies.tsv"
    mine.write_text("mine")
    world.files[str(mine)] = str(mine)
    assert [row["checked"] for row in world.run(simulated=True)] == ["local file", "simulated"]


def test_a_linked_file_says_where_it_lies(world, tmp_path):
    elsewhere = world.file.rename(tmp_path / "elsewhere.gz")
    world.file.symlink_to(elsewhere)
    (row,) = world.run(url="$DATA/elsewhere.gz", **UNKNOWN)
    assert row["url"] == str(elsewhere)


def test_simulated_files_are_hashed_and_marked_whatever_table_and_lock_say(world):
    world.locked(sha256="1" * 64)
    (row,) = world.run(simulated=True)
    assert (row["checked"], row["sha256"]) == ("simulated", SHA256)
    assert (row["url"], row["retrieved"]) == (None, None)


def test_the_same_simulated_files_give_the_same_bytes_on_every_machine(world, tmp_path):
    world.run(simulated=True)
    other = World(tmp_path / "other")
    os.utime(other.file, (0, 0))
    other.run(simulated=True)
    assert world.output.read_bytes() == other.output.read_bytes()
    assert [path.name for path in world.output.parent.iterdir()] == ["inventory.parquet"]


def test_rows_are_sorted_whatever_the_order_of_the_files(world, tmp_path):
    mine = tmp_path / "a.tsv"
    mine.write_text("mine")
    world.files = {"z/mine": str(mine), **world.files, "a/mine": str(mine)}
    rows = world.run(**UNKNOWN)
    assert [row["file"] for row in rows] == ["a/mine", "z/mine", "links.txt.gz"]


def test_an_unchanged_file_is_not_read_again_and_a_changed_one_is(world, monkeypatch):
    first = world.run(**UNKNOWN)
    monkeypatch.setattr(module.hashlib, "file_digest", None)
    assert world.run(**UNKNOWN) == first
    monkeypatch.undo()
    world.file.write_bytes(CONTENT[::-1])  # the same size
    os.utime(world.file, ns=(1, 1))
    (row,) = world.run(**UNKNOWN)
    assert row["sha256"] == hashlib.sha256(CONTENT[::-1]).hexdigest()


def test_damaged_notes_about_earlier_hashes_only_cost_time(world):
    first = world.run(**UNKNOWN)
    world.output.with_name(".inventory.hashes.json").write_text("{")
    assert world.run(**UNKNOWN) == first


def test_an_absent_file_is_named_before_anything_is_hashed(world):
    world.files["string/info.txt.gz"] = f"{world.folder}/info.txt.gz"
    with pytest.raises(InputError, match=re.escape(f"{world.folder}/info.txt.gz: no such file")):
        world.run()


@pytest.mark.parametrize("files", ["{", "[]", '{"a": 1}'])
def test_files_that_are_no_json_object_of_paths_are_refused(world, files):
    table = write(world.folder / "sources.tsv", ROW)
    with pytest.raises(InputError, match="--files"):
        inventory(table, files, world.lock, world.output)
