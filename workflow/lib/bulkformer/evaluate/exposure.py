"""The ledger of what each model has seen of each cohort, so that no table hides it.

A model has seen a sample if the corpus it learned from holds that sample, under its own name or
another, or another one of the same patient, donor or study. Evidence is by accession, BioSample and
expression profile; a model whose training samples are not known cannot be cleared this way, and
only what its makers say of it counts.
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
from bulkformer.evaluate.records import pair, read_columns, read_kept
from bulkformer.evaluate.releases import Documented
from bulkformer.evaluate.sharing import (
    ALL_SAMPLES,
    KEYS,
    WORDS,
    Shared,
    groups_of_siblings,
    in_words,
    read_overlap,
    seen_in,
    shared,
    subsets,
    with_groups_of_copies,
)
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
        *((name, pa.int64()) for name in WORDS),
    ]
)
# What a model learns expression from, by where its weights come from; weights that are not listed
# were trained elsewhere, on samples that this workflow does not know. Validation studies choose the
# weights, so they count; `validation_samples` choose nothing, but their studies were learned from.
LEARNS_FROM = {
    "trained": ("train", "validation"),
    "fine_tuned": ("train", "validation"),  # and from what the released weights had seen
    "released": (),  # from samples of its own
    "fitted": ("train",),
    "random": (),
    "none": (),
}
EXTERNAL = "external"  # the origin of a graph that no sample of the corpus has shaped
CELL_LINE_COLUMNS = ("cell_line_id", "cell_id")
OTHER_CULTURES = (
    "the corpus does not say of which cell lines it is: other cultures of these may be in it"
)
WITH_GRAPH = ("trained", "random")
RELEASED = ("released", "fine_tuned")
WORST_FIRST = ("seen_unlabelled", "seen_in_graph", "unknown", "clean")


def exposure(
    corpus: Annotated[Path, Option(help="Split corpus, corpus.parquet.")],
    cohort: Annotated[list[str], Option()],
    samples: Annotated[list[Path], Option(help="samples.parquet of each cohort, same order.")],
    models: Annotated[str, Option(help="JSON {model: where its weights come from}.")],
    output: Annotated[Path, Option()],
    graph: Annotated[
        Path | None, Option(help="JSON of the graph of the pretraining; else it is the release's.")
    ] = None,
    release: Annotated[
        Path | None, Option(help="provenance.json of released weights, if a model has them.")
    ] = None,
    overlap_cohort: Annotated[list[str] | None, Option(help="Cohorts looked up in it.")] = None,
    overlap: Annotated[list[Path] | None, Option(help="What was found, same order.")] = None,
) -> None:
    """Record for each model and cohort what was seen, with counts of what is shared."""
    rows = read_columns(corpus, ["cohort", "sample_id", "split"])
    labels = {
        name: read_kept(path, [], [key for key in KEYS if key != "sample_id"])
        for name, path in pair(cohort, samples, "--samples").items()
    }
    of_lines = {
        name: holds_cell_lines(path)
        for name, path in pair(cohort, samples, "--samples").items()
        if name not in set(rows["cohort"])
    }
    looked_up = pair(overlap_cohort or [], overlap or [], "--overlap")
    copies = {name: read_overlap(path) for name, path in looked_up.items()}
    groups = groups_of_siblings(rows, labels)
    parts = subsets(
        rows,
        {
            name: with_groups_of_copies(part, copies.get(name, {}), groups)
            for name, part in labels.items()
        },
    )
    drawn_from_corpus = graph is not None and rests_on_samples(graph)
    documented = Documented.read(release) if release else Documented()
    ledger = []
    # Splits that a kind of model learned from: the same for many models, so counted once.
    overlaps: dict[tuple[str, ...], dict[tuple[str, str], Shared]] = {}
    for model, weights in json.loads(models).items():
        learned = LEARNS_FROM.get(weights, ())
        of_release = weights in RELEASED or (weights == "random" and graph is None)
        drawn = ("train",) if drawn_from_corpus and weights in WITH_GRAPH else ()
        for splits in {learned, drawn}:
            if splits not in overlaps:
                seen = seen_in(rows, labels, splits)
                overlaps[splits] = {
                    place: shared(subset, seen, copies.get(place[0], {}), splits)
                    for place, subset in parts.items()
                }
        for place, subset in parts.items():
            n = len(subset["sample_id"])
            of_weights, of_graph = overlaps[learned][place], overlaps[drawn][place]
            scanned = place[0] in copies
            state, evidence = _judge(weights, learned, drawn, (of_weights, of_graph), n, scanned)
            if state == "clean" and (learned or drawn) and of_lines.get(place[0]):
                state, evidence = "unknown", f"{evidence}; {OTHER_CULTURES}"
            if of_release:
                stated = documented.judge(place[0], subset, weights in RELEASED)
                state, evidence = _worse((state, evidence), stated)
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


def holds_cell_lines(samples: Path) -> bool:
    """Return whether a cohort is of cell lines, which are grown and sequenced anywhere."""
    columns = read_kept(samples, [], CELL_LINE_COLUMNS)
    return any(value for name in CELL_LINE_COLUMNS for value in columns[name])


def rests_on_samples(graph: Path) -> bool:
    """Return whether the JSON beside a graph names any origin but `external`.

    Raises InputError if the file is not such a JSON.
    """
    try:
        origin = json.loads(graph.read_text())["origin"]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"{graph}: does not say from what the graph was made ({error!r}); run the graph stage "
            "again"
        ) from error
    # The origin of a union is one for each graph that went into it.
    return any(
        each != EXTERNAL for each in (origin.values() if isinstance(origin, dict) else [origin])
    )


def _worse(one: tuple[str, str], other: tuple[str, str]) -> tuple[str, str]:
    """Return the worse state, with the evidence of both where both say something was seen."""
    first, second = sorted([one, other], key=lambda each: WORST_FIRST.index(each[0]))
    if second[0] == "clean":
        return first
    return first[0], f"{first[1]}; {second[1]}"


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


def _judge(
    weights: str,
    learned: Sequence[str],
    drawn: Sequence[str],
    counts: Sequence[Shared],
    n: int,
    scanned: bool,
) -> tuple[str, str]:
    """Return the state and its evidence in words.

    `learned` and `drawn` are the splits of the corpus behind weights and graph, `counts` what the
    samples share with each of the two; `scanned` says whether expression was searched for copies.
    """
    of_weights, of_graph = counts
    if weights not in LEARNS_FROM:
        return "unknown", f"weights '{weights}' were trained on samples that are not listed here"
    if any(of_weights.values()):
        return "seen_unlabelled", f"trained on: {in_words(of_weights, n)}"
    if any(of_graph.values()):
        return "seen_in_graph", f"gene graph made from: {in_words(of_graph, n)}"
    if not learned and not drawn:
        return "clean", "learns nothing from the corpus"
    clean = f"none of {n} samples, their patients, donors or studies was trained on"
    return "clean", f"{clean}, nor a copy by BioSample or expression" if scanned else clean


if __name__ == "__main__":
    command(exposure)
