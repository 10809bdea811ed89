"""STRING's detailed links and protein information, drawn to agree with the plain links.

The evidence for a pair is divided among channels such that all channels together give the combined
score of the plain file back, within the rounding to thousandths.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
from typer import Option

from bulkformer.cli import command
from bulkformer.simulate.writers import gzip_text, tab_line
from bulkformer.sources.string_links import ALL_CHANNELS, CHANNELS, PRIOR, read_protein_links

# Most human pairs are known from papers and transfers of experiments; neighbourhood and fusion are
# evidence of prokaryotes.
SHARE = {"coexpression": 0.5, "experimental": 0.5, "database": 0.25, "textmining": 0.8}
FULL = 1000


def string_channels(
    links: Annotated[Path, Option(help="protein.links to divide")],
    seed: Annotated[int, Option()],
    detailed: Annotated[Path, Option(help="protein.links.detailed to write")],
    info: Annotated[Path, Option(help="protein.info to write")],
) -> None:
    """Write the channels of every pair, the same in both directions, and a line a protein."""
    table = read_protein_links(links, 0, [ALL_CHANNELS])
    ends = np.stack([table.protein1, table.protein2])
    _, first, pair = np.unique(
        ends.min(axis=0) * len(table.proteins) + ends.max(axis=0).astype(np.int64),
        return_index=True,
        return_inverse=True,
    )
    rng = np.random.default_rng([seed, *b"string channels"])
    channels = divided(table.score[first], rng)[pair]
    with gzip_text(detailed) as file:
        file.write(" ".join(["protein1", "protein2", *CHANNELS, "combined_score"]) + "\n")
        rows = np.concatenate([channels, table.score[:, None]], axis=1).astype(int).tolist()
        for one, other, scores in zip(*ends.tolist(), rows, strict=True):
            numbers = " ".join(map(str, scores))
            file.write(f"{table.proteins[one]} {table.proteins[other]} {numbers}\n")
    with gzip_text(info) as file:
        file.write(tab_line(["#string_protein_id", "preferred_name", "protein_size", "annotation"]))
        for protein in sorted(table.proteins):
            size = int(rng.integers(80, 1200))
            file.write(tab_line([protein, protein.partition(".")[2], size, 'Invented "protein"']))


def divided(score: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return scores int [n, n_channels], 0..1000, whose combination is `score` [n], 0..1000.

    Independent evidence adds up in -ln(1 - score without prior); that sum is divided at random
    among the channels that know the pair, of which there is at least one.
    """
    knows = rng.random((len(score), len(CHANNELS))) < [SHARE.get(name, 0.02) for name in CHANNELS]
    knows[~knows.any(axis=1), CHANNELS.index("textmining")] = True
    part = rng.exponential(size=knows.shape) * knows
    part /= part.sum(axis=1, keepdims=True)
    evidence = -np.log1p(-(score / FULL - PRIOR).clip(0) / (1 - PRIOR))
    alone = -np.expm1(-part * evidence[:, None])
    return np.where(knows, np.round(FULL * (PRIOR + (1 - PRIOR) * alone)), 0).astype(int)


if __name__ == "__main__":
    command(string_channels)
