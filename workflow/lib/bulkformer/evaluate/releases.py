"""What weights that were trained elsewhere have seen: what their makers say, else nobody knows.

Makers name collections, never samples. A sample is of a collection if its identifier has the form
that only this collection uses, or if its cohort is named after it.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bulkformer.errors import InputError
from bulkformer.evaluate.records import Columns, split_keys

# Collection -> form of its sample, patient or donor ids; None where they are those of others.
COLLECTIONS: dict[str, re.Pattern[str] | None] = {
    "archs4": None,
    "disignatlas": None,
    "gtex": re.compile(r"GTEX[-.]\w+.*"),
    "tcga": re.compile(r"TCGA[-.]\w\w[-.]\w{4}.*"),
}
IDS = ("sample_id", "patient_id", "donor_id")


NOTHING_STATED = "nothing is stated about them"


@dataclass(frozen=True)
class Documented:
    """What is stated of the samples behind weights, and behind the graph that came with them.

    Attributes
    ----------
    statement : in words
    in_corpus, in_graph : collections that weights and graph were made from
    """

    statement: str = NOTHING_STATED
    in_corpus: frozenset[str] = frozenset()
    in_graph: frozenset[str] = frozenset()

    @classmethod
    def read(cls, provenance: Path) -> "Documented":
        """Read what the provenance of imported weights says; InputError if it says nothing."""
        try:
            stated = json.loads(provenance.read_text())["exposure"]
            collections = frozenset(stated["in_corpus"]), frozenset(stated["in_graph"])
            statement = str(stated["statement"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{provenance}: does not say what the weights were trained on ({error!r}); import "
                "them again"
            ) from error
        if unknown := sorted((collections[0] | collections[1]) - COLLECTIONS.keys()):
            raise InputError(
                f"{provenance}: collection '{unknown[0]}' is unknown; known are "
                f"{', '.join(COLLECTIONS)}"
            )
        return cls(statement, *collections)

    def judge(self, cohort: str, samples: Columns, weights: bool) -> tuple[str, str]:
        """Return the state of a cohort and the evidence in words.

        `weights` says whether the weights count, or the graph alone. Nothing is ever clean of
        weights whose samples are not listed.
        """
        found = collections_of(cohort, samples)
        if weights and (seen := _in_words(found, self.in_corpus)):
            return "seen_unlabelled", f"in the corpus: {seen}; {self.statement}"
        if seen := _in_words(found, self.in_graph):
            return "seen_in_graph", f"in the gene graph: {seen}; {self.statement}"
        kind = "the weights" if weights else "the gene graph"
        return "unknown", f"the samples behind {kind} are not listed; {self.statement}"


def collections_of(cohort: str, samples: Columns) -> dict[str, str]:
    """Return {collection: how many samples of the cohort are of it, in words}."""
    n = len(samples["sample_id"])
    found = {}
    for name, form in COLLECTIONS.items():
        if name in cohort.lower().split("_"):
            found[name] = f"all {n}"
        elif form is not None:
            ids = zip(*(samples[column] for column in IDS), strict=True)
            times = sum(
                any(form.fullmatch(key) for value in row for key in split_keys(value))
                for row in ids
            )
            if times:
                found[name] = f"{times} of {n}"
    return found


def _in_words(found: Mapping[str, str], documented: frozenset[str]) -> str:
    return ", ".join(f"{found[name]} ({name})" for name in sorted(documented & found.keys()))
