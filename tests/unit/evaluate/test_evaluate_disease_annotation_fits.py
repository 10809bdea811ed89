"""What a head may see: training rows only, the same for all models, wherever it runs."""

import json
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from annotation_world import predict
from evaluate_world import World, annotation_settings, split_annotation

from bulkformer.errors import InputError
from bulkformer.evaluate.heads import HEADS
from bulkformer.evaluate.splits import SCHEMA
from bulkformer.evaluate.tasks import disease_annotation_fits as fits
from bulkformer.evaluate.tasks.disease_annotation_samples import Samples


def test_noise_in_place_of_test_rows_leaves_fitted_heads_identical(
    planted: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_repeat = json.loads(annotation_settings())
    one_repeat["strict"] |= {"repeats": 1, "trees": 5}
    text = json.dumps(one_repeat)
    split_annotation(planted, text)
    fitted: list[dict[tuple[str, int], bytes]] = [{}, {}]

    def keep(name: str, rows: object, settings: object, seed: int) -> object:
        head = fit_head(name, rows, settings, seed)
        fitted[-1][name, seed] = pickle.dumps(head)
        return head

    fit_head = fits.fit_head
    monkeypatch.setattr(fits, "fit_head", keep)
    predict(planted, "strict", text, list(HEADS), name="all")
    table = pd.read_parquet(planted.root / "split.parquet").query("protocol == 'strict'")
    fold = table.query("repeat == 0 and fold == 0")["unit"]
    embedded = pd.read_parquet(planted.embeddings("series"))
    vectors = np.stack(embedded["embedding"])
    test = embedded["sample_id"].isin(fold).to_numpy()
    vectors[test] = np.random.default_rng(0).normal(size=(test.sum(), 20)) * 100
    labels = {"study_id": embedded["study_id"], "disease": embedded["disease"]}
    planted.cohort("series", labels, vectors=vectors)
    first = fitted[-1]
    fitted.append({})
    predict(planted, "strict", text, list(HEADS), name="all")
    looks_at_vectors = set(HEADS) - {"majority", "study_oracle"}
    for name in HEADS:
        own = [seed for head, seed in first if head == name]
        assert len(own) == 4
        same = [first[name, seed] == fitted[-1][name, seed] for seed in own]
        assert same[0], name  # of the fold whose test rows are noise
        if name in looks_at_vectors:
            assert not same[1], name  # which had learned from the rows that are noise now


def test_permuted_labels_leave_a_study_its_shares_and_mix_studies_of_one_class() -> None:
    study = np.array(["GSE1"] * 40 + ["GSE2"] * 20 + ["GSE3"] * 20 + [None] * 20, dtype=object)
    labels = np.concatenate([np.arange(40) % 2, np.zeros(20), np.ones(20), np.ones(20)]).astype(int)
    samples = Samples(
        sample_id=np.arange(100), group=study, study=study, tissue=study, labels=labels,
        bound=np.arange(100),
        classes=["a", "b"], path=Path("none"), row=np.arange(100),
    )  # fmt: skip
    found = fits.permute_labels(samples, seed=1, repeat=0).labels
    assert found[:40].sum() == 20
    assert (found[:40] != labels[:40]).any()
    assert found.sum() == labels.sum()
    assert set(found[40:60]) == {0, 1}
    assert (found == fits.permute_labels(samples, seed=1, repeat=0).labels).all()
    assert (found != fits.permute_labels(samples, seed=1, repeat=1).labels).any()


def test_a_smaller_share_of_groups_lies_in_a_larger_one_and_every_class_comes_first() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(60), 3)
    labels = np.repeat(rng.choice([0] * 8 + [1, 2], size=60), 3)
    drawn = {
        share: set(fits.draw_groups(labels, groups, share, np.random.default_rng(5)))
        for share in (0.05, 0.1, 0.5, 1.0)
    }
    assert [len(rows) for rows in drawn.values()] == [9, 18, 90, 180]
    assert drawn[0.05] < drawn[0.1] < drawn[0.5] < drawn[1.0]
    assert {labels[row] for row in drawn[0.05]} == {0, 1, 2}
    for rows in drawn.values():
        whole = {groups[row] for row in rows}
        assert len(rows) == 3 * len(whole)


def test_many_processes_say_what_one_says(planted: World, monkeypatch: pytest.MonkeyPatch) -> None:
    text = annotation_settings()
    split_annotation(planted, text)
    heads = ["logistic_regression"]
    one = predict(planted, "legacy", text, heads, name="one")
    monkeypatch.setattr(fits, "WORTH_SHARING", 0)
    many = predict(planted, "legacy", text, heads, name="many", threads=2)
    assert one.read_bytes() == many.read_bytes()


def test_fewer_processes_run_where_memory_is_short(
    planted: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(fits, "WORTH_SHARING", 0)
    monkeypatch.setattr(
        fits, "ProcessPoolExecutor", lambda n, *_: asked.append(n) or ThreadPoolExecutor(1)
    )
    monkeypatch.setattr(fits, "bytes_of_a_fit", lambda n, d: 9 * 10**9)
    text = annotation_settings()
    split_annotation(planted, text)
    for memory, n in ((32_000, 3), (64_000, 4), (8_000, None)):
        asked.clear()
        predict(planted, "legacy", text, ["majority"], threads=4, memory_mb=memory)
        assert asked == ([n] if n else [])


def test_a_fit_to_whole_transcriptomes_is_known_to_take_gigabytes() -> None:
    assert 8e9 < fits.bytes_of_a_fit(12_500, 20_000) < 12e9
    assert fits.bytes_of_a_fit(12_500, 640) < 1e9


def test_repeats_of_other_samples_are_an_error_that_names_the_manifest(planted: World) -> None:
    text = annotation_settings()
    path = split_annotation(planted, text)
    table = pd.read_parquet(path)
    wrong = (table["protocol"] == "strict") & (table["repeat"] == 1)
    first = table[wrong]["unit"].iloc[0]
    table = table[~(wrong & (table["unit"] == first))]
    pq.write_table(pa.Table.from_pandas(table, SCHEMA, preserve_index=False), path)
    path.with_name(f"{path.name}.sha256").unlink(missing_ok=True)
    with pytest.raises(InputError, match=r"split.parquet: .* repeat 1 holds other samples"):
        predict(planted, "strict", text, ["majority"])
