"""What is known of the samples behind weights that were not trained here.

Nobody published which samples these are, so nothing can be cleared of them. What the authors say is
in their corpus counts as seen, and so does what their graph was made from.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bulkformer.errors import InputError

# in_corpus, in_graph: collections by the names that bulkformer.evaluate.releases knows.
PUBLISHED: dict[str, dict[str, Any]] = {
    "paper": {
        "statement": "trained on PreBULK, samples of GEO and ARCHS4 that the release does not "
        "list by accession; its graph was made from TCGA",
        "in_corpus": ["archs4"],
        "in_graph": ["tcga"],
    },
    "latest": {
        "statement": "trained on ARCHS4, GDC (TCGA), GTEx and DiSignAtlas, as its authors say; "
        "how its graph was made is not stated",
        "in_corpus": ["archs4", "disignatlas", "gtex", "tcga"],
        "in_graph": [],
    },
}
UNLISTED = {
    "statement": "trained in another run, whose samples are not listed here",
    "in_corpus": [],
    "in_graph": [],
}


def exposure_of_folder(folder: Path) -> dict[str, Any]:
    """Return what a run folder says its weights have seen; InputError if it cannot be read."""
    path = folder / "provenance.json"
    try:
        return exposure_of_run(json.loads(path.read_text()))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: not the provenance of a run ({error}); copy the run folder as a whole"
        ) from error


def exposure_of_run(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the provenance of a run folder says its weights have seen.

    A run that went on from published weights has seen what these have, and its own corpus.
    """
    before = provenance.get("exposure")
    if before is None:
        return dict(UNLISTED)
    if provenance.get("mode") == "released":
        return dict(before)
    statement = f"{before['statement']}; then {UNLISTED['statement']}"
    return {**before, "statement": statement}
