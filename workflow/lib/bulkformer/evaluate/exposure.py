"""The ledger of what each model has seen of each cohort, so that no table hides it.

A model has seen a sample if the corpus it learned from holds that sample, or another one of the
same patient, donor or study. Evidence is by accession: a copy of a sample under another name, or a
model whose training samples are not known, cannot be cleared this way.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pyarrow as pa
from typer import Option

from bulkformer.cli import command
from bulkformer.errors import InputError
from bulkformer.evaluate.records import Columns, pair, read_columns, read_kept, select, split_keys
from bulkformer.files import write_table

SCHEMA = pa.schema(
    [
        ("model", pa.string()),
        ("weights", pa.string()),
        ("cohort", pa.string()),
        ("regime", pa.string()),
        ("exposure", pa.string()),
        ("evidence", pa.string()),
        ("n_samples", pa.int64()),
        ("shared_samples", pa.int64()),
        ("shared_patients", pa.int64()),
        ("shared_donors", pa.int64()),
        ("shared_studies", pa.int64()),
    ]
)
ALL_SAMPLES = "all_samples"  # of a cohort; what every regime without rows of its own falls back to
CORPUS_REGIMES = ("held_out_samples", "held_out_groups")
KEYS = {
    "sample_id": "shared_samples",
    "patient_id": "shared_patients",
    "donor_id": "shared_donors",
    "study_id": "shared_studies",
}
# What a model learns expression from, by where its weights come from; weights that are not listed
# were trained elsewhere, on samples that this workflow does not know.
LEARNS_FROM = {
    "trained": ("train", "validation"),
    "fitted": ("train",),
    "random": (),
    "none": (),
}
GRAPHS_FROM_CORPUS = ("coexpression", "union")
WITH_GRAPH = ("trained", "random")
Shared = dict[str, int]  # counts of samples by what they share with the corpus
WORST_FIRST = ("seen_unlabelled", "seen_in_graph", "unknown", "clean")


def exposure(
    corpus: Annotated[Path, Option(help="Split corpus, corpus.parquet.")],
    cohort: Annotated[list[str], Option()],
    samples: Annotated[list[Path], Option(help="samples.parquet of each cohort, same order.")],
    models: Annotated[str, Option(help="JSON {model: trained | fitted | random | none}.")],
    graph: Annotated[str, Option(help="Graph of the pretraining.")],
    output: Annotated[Path, Option()],
) -> None:
    """Record for each model and cohort what was seen, with counts of what is shared."""
    rows = read_columns(corpus, ["cohort", "sample_id", "split"])
    labels = {
        name: read_kept(path, [], [key for key in KEYS if key != "sample_id"])
        for name, path in pair(cohort, samples, "--samples").items()
    }
    subsets = _subsets(rows, labels)
    ledger = []
    # Splits that a kind of model learned from: the same for many models, so counted once.
    overlaps: dict[tuple[str, ...], dict[tuple[str, str], Shared]] = {}
    for model, weights in json.loads(models).items():
        learned = LEARNS_FROM.get(weights, ())
        drawn = ("train",) if graph in GRAPHS_FROM_CORPUS and weights in WITH_GRAPH else ()
        for splits in {learned, drawn}:
            if splits not in overlaps:
                seen = _seen(rows, labels, splits)
                overlaps[splits] = {
                    place: _shared(subset, seen) for place, subset in subsets.items()
                }
        for place, subset in subsets.items():
            n = len(subset["sample_id"])
            of_weights, of_graph = overlaps[learned][place], overlaps[drawn][place]
            state, evidence = _judge(weights, learned, drawn, (of_weights, of_graph), n)
            shown = of_weights if any(of_weights.values()) else of_graph
            ledger.append(
                {
                    "model": model,
                    "weights": weights,
                    "cohort": place[0],
                    "regime": place[1],
                    "exposure": state,
                    "evidence": evidence,
                    "n_samples": n,
                }
                | shown
            )
    write_table(output, pa.Table.from_pylist(ledger, schema=SCHEMA))


@dataclass(frozen=True)
class Ledger:
    """Answers what a model had seen; made by `Ledger.read`."""

    path: Path
    models: dict[str, str]
    states: dict[tuple[str, str, str], str]

    @classmethod
    def read(cls, path: Path) -> "Ledger":
        """Read exposure.parquet."""
        columns = read_columns(path, SCHEMA.names)
        places = zip(columns["model"], columns["cohort"], columns["regime"], strict=True)
        return cls(
            path,
            dict(zip(columns["model"], columns["weights"], strict=True)),
            dict(zip(places, columns["exposure"], strict=True)),
        )

    def weights(self, model: str) -> str:
        """Return where the weights of `model` come from; raises InputError if it is not here."""
        if model not in self.models:
            raise InputError(f"{self.path}: no row for model '{model}'; make the ledger again")
        return self.models[model]

    def state(self, model: str, cohorts: Iterable[str], regime: str) -> str:
        """Return the worst state over `cohorts`; raises InputError for one that is not here."""
        found = set()
        for cohort in sorted(cohorts):
            state = self.states.get((model, cohort, regime)) or self.states.get(
                (model, cohort, ALL_SAMPLES)
            )
            if state is None:
                raise InputError(
                    f"{self.path}: no row for model '{model}' and cohort '{cohort}'; "
                    "make the ledger again"
                )
            found.add(state)
        return next(state for state in WORST_FIRST if state in found)


def _subsets(rows: Columns, labels: dict[str, Columns]) -> dict[tuple[str, str], Columns]:
    """Return {(cohort, regime): samples}: all kept ones, and for the corpus each held-out part."""
    subsets = {}
    for cohort, samples in labels.items():
        subsets[cohort, ALL_SAMPLES] = samples
        for regime in CORPUS_REGIMES:
            held_out = _ids(rows, cohort, (regime,))
            if held_out:
                subsets[cohort, regime] = _only(samples, held_out)
    return subsets


def _seen(rows: Columns, labels: dict[str, Columns], splits: Sequence[str]) -> dict[str, set[str]]:
    """Return the identifiers of what lies in `splits` of the corpus, by kind of identifier."""
    seen: dict[str, set[str]] = {key: set() for key in KEYS}
    for cohort in sorted(set(rows["cohort"])):
        ids = _ids(rows, cohort, splits)
        seen["sample_id"] |= ids
        if ids and cohort in labels:
            learned = _only(labels[cohort], ids)
            for key in KEYS:
                seen[key].update(*(split_keys(value) for value in learned[key]))
    return seen


def _shared(samples: Columns, seen: dict[str, set[str]]) -> Shared:
    """Count the samples that were seen, and those whose patient, donor or study was."""
    return {
        name: sum(not seen[key].isdisjoint(split_keys(value)) for value in samples[key])
        for key, name in KEYS.items()
    }


def _judge(
    weights: str, learned: Sequence[str], drawn: Sequence[str], shared: Sequence[Shared], n: int
) -> tuple[str, str]:
    """Return the state and its evidence in words.

    `learned` and `drawn` are the splits of the corpus behind weights and graph, `shared` what the
    samples share with each of the two.
    """
    of_weights, of_graph = shared
    if weights not in LEARNS_FROM:
        return "unknown", f"weights '{weights}' were trained on samples that are not listed here"
    if any(of_weights.values()):
        return "seen_unlabelled", f"trained on: {_counts(of_weights, n)}"
    if any(of_graph.values()):
        return "seen_in_graph", f"gene graph made from: {_counts(of_graph, n)}"
    if not learned and not drawn:
        return "clean", "learns nothing from the corpus"
    return "clean", f"none of {n} samples, their patients, donors or studies was trained on"


def _counts(shared: Shared, n: int) -> str:
    words = {
        "shared_samples": "samples themselves",
        "shared_patients": "samples' patient",
        "shared_donors": "samples' donor",
        "shared_studies": "samples' study",
    }
    return "; ".join(f"{shared[name]} of {n} {words[name]}" for name in words if shared[name])


def _ids(rows: Columns, cohort: str, splits: Sequence[str]) -> set[str]:
    return {
        sample_id
        for of, sample_id, split in zip(
            rows["cohort"], rows["sample_id"], rows["split"], strict=True
        )
        if of == cohort and split in splits
    }


def _only(samples: Columns, ids: set[str]) -> Columns:
    return select(samples, [i for i, one in enumerate(samples["sample_id"]) if one in ids])


if __name__ == "__main__":
    command(exposure)
