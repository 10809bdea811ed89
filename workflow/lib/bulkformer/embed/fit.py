"""Step: fit a classical model on the training samples of the corpus, as BulkFormer was.

Fitting happens once and before any cohort is looked at, so that no test sample can take part.
"""

from pathlib import Path
from typing import Annotated

import typer

from bulkformer.cli import command
from bulkformer.embed import registry
from bulkformer.embed.training import read_training_data


def fit(
    embedder: Annotated[str, typer.Option()],
    corpus: Annotated[Path, typer.Option()],
    samples: Annotated[list[Path], typer.Option()],
    store: Annotated[list[Path], typer.Option()],
    seed: Annotated[int, typer.Option()],
    output: Annotated[Path, typer.Option()],
    settings: Annotated[str, typer.Option()] = "{}",
) -> None:
    """Fit EMBEDDER to the rows of the corpus whose split is "train" and save what it learned.

    Give --samples and --store once for every corpus cohort, in the same order. The output is a
    safetensors file; the same samples, settings and seed give the same bytes on a CPU.
    """
    registry.fit(embedder, settings, read_training_data(corpus, samples, store), seed, output)


if __name__ == "__main__":
    command(fit)
