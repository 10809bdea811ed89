"""What the heads of drug response read besides responses: vectors, fingerprints and gene lists.

Lines and screens are matched by id, never by position.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bulkformer.errors import InputError
from bulkformer.evaluate.compounds import morgan
from bulkformer.evaluate.response_data import Responses
from bulkformer.evaluate.response_pairs import Lines, Screens
from bulkformer.evaluate.tasks.gene_essentiality_data import EXPRESSION
from bulkformer.evaluate.tasks.imputation_masks import read_panel
from bulkformer.evaluate.vectors import read_vectors


@dataclass(frozen=True)
class Inputs:
    """Lines and screens of the data as heads see them.

    `panel` are the columns of vectors that some heads are confined to, `most_screened` bool [t] the
    screens that slow heads are fitted to; None for all.
    """

    lines: Lines
    screens: Screens
    panel: np.ndarray | None = None
    most_screened: np.ndarray | None = None

    def with_exchanged_vectors(self, *seed: int) -> Lines:
        """Return the lines, each with the vector of one and the same other line in all folds."""
        order = np.random.default_rng(seed).permutation(len(self.lines.identity))
        return replace(self.lines, vectors=self.lines.vectors[order])


def read_inputs(data: Responses, embeddings: Path, fingerprint_bits: int) -> Inputs:
    """Look the vectors of lines up, and compute fingerprints.

    Raises InputError for a line without a vector, or with one that is not finite.
    """
    lines = Lines(
        identity=np.arange(len(data.line)),
        vectors=read_vectors(embeddings, data.sample_id),
        group=_codes(data.patient),
        tissue=np.where([name is None for name in data.lineage], -1, _codes(data.lineage)),
    )
    screens = Screens(
        identity=np.arange(len(data.target)),
        fingerprints=morgan(data.smiles, fingerprint_bits),
        scaffold=_codes([own or drug for own, drug in zip(data.scaffold, data.drug, strict=True)]),
    )
    return Inputs(lines, screens)


def panel_columns(
    genes: Path | None, panel: Path | None, embedder: str, dimension: int
) -> np.ndarray:
    """Return the columns of the genes of a panel; raises InputError where vectors are no genes."""
    if genes is None or panel is None:
        raise InputError(
            "panel_ridge needs --genes and --panel; name a list of genes in "
            "evaluate.drug_response.panel, or leave its row of the models table out with "
            "evaluate.drug_response.without"
        )
    if embedder != EXPRESSION:
        raise InputError(
            f"panel_ridge needs vectors that are the expression itself, not those of '{embedder}'; "
            f"give its row of the models table the embedder {EXPRESSION}"
        )
    listed = read_panel(panel, genes)
    if len(listed) != dimension:
        raise InputError(
            f"{genes}: {len(listed)} genes, but vectors of {EXPRESSION} have {dimension}; run the "
            "embed stage again"
        )
    return np.flatnonzero(listed)


def most_screened(data: Responses, at_most: int) -> np.ndarray:
    """Return which targets belong to the drugs that were measured in most lines, bool [t]."""
    n = np.isfinite(next(iter(data.values.values()))).sum(axis=0)
    lines: dict[str, int] = {}
    for drug, count in zip(data.drug, n.tolist(), strict=True):
        lines[drug] = max(count, lines.get(drug, 0))
    kept = set(sorted(lines, key=lambda drug: (-lines[drug], drug))[:at_most])
    return np.array([drug in kept for drug in data.drug])


def _codes(names: Sequence[str | None]) -> np.ndarray:
    return np.unique([name or "" for name in names], return_inverse=True)[1]
