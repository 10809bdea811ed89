"""One vector a gene from its protein: the mean of what ESM2 makes of the residues.

What a protein is made of says something of what a gene does before any expression was measured, and
the published sizes of the network count a gene table that starts there.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import torch
from typer import Option

import bulkformer
from bulkformer.cli import command
from bulkformer.errors import InputError
from bulkformer.files import atomic, sha256, write_json
from bulkformer.pretrain.gene_table import write_gene_table
from bulkformer.pretrain.protein_windows import (
    WINDOW,
    ReadingPlan,
    Windows,
    plan_reading,
    windows_of,
)
from bulkformer.pretrain.resume import state_folder
from bulkformer.sources.ensembl import canonical_transcripts
from bulkformer.sources.esm2 import CONFIG, VOCABULARY, WEIGHTS, Esm2Files, open_esm2
from bulkformer.sources.peptides import read_peptides

SAVE_SECONDS = 30.0  # the most that a killed run loses, besides the batch that it was at
SPECIAL_POSITIONS = 4  # start, end, and two that ESM2 keeps for padding


def protein_embeddings(
    genes: Annotated[Path, Option(help="Vocabulary, genes.parquet.")],
    esm2: Annotated[Path, Option(help="model.safetensors of ESM2, or its folder.")],
    peptides: Annotated[Path, Option(help="pep.all FASTA of Ensembl.")],
    annotation: Annotated[Path, Option(help="GTF of the same release.")],
    windows: Annotated[Windows, Option(help="What is read of a protein above 1,022 residues.")],
    batch_residues: Annotated[int, Option(help="Tokens in a forward pass at the most.")],
    state: Annotated[Path, Option(help="Folder of what is done so far; removed at the end.")],
    output: Annotated[Path, Option(help="Table of the embeddings; a summary goes beside it.")],
) -> None:
    """Embed the canonical protein of every gene of the vocabulary."""
    files = open_esm2(esm2)
    if files.positions < WINDOW + SPECIAL_POSITIONS:
        raise InputError(
            f"{files.path / CONFIG}: max_position_embeddings is {files.positions}, too few for "
            f"windows of {WINDOW} residues; give an ESM2 model"
        )
    gene_ids = pd.read_parquet(genes, columns=["gene_id"])["gene_id"].tolist()
    proteins = read_peptides(peptides, canonical_transcripts(annotation)).set_index("gene_id")
    proteins = proteins[proteins.index.isin(gene_ids)]
    if proteins.empty:
        raise InputError(
            f"{peptides}: no protein of a gene of {genes}, first {gene_ids[0]}; both must be human "
            "and of Ensembl"
        )
    pieces = proteins["sequence"].map(lambda sequence: windows_of(sequence, windows))
    plan = plan_reading((piece for protein in pieces for piece in protein), batch_residues)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    identity = _identity(files, plan, batch_residues, device)
    folder = state_folder(state, identity)
    means = read_windows(files, plan, folder, device)

    proteins["residues"] = proteins["sequence"].str.len()
    proteins["windows"] = pieces.map(len)
    table = pd.DataFrame(pooled(pieces.tolist(), plan, means), index=proteins.index)
    summary = {
        "source": "computed",
        **identity["model"],
        "width": files.width,
        "layers": files.layers,
        "peptides_sha256": sha256(peptides),
        "annotation_sha256": sha256(annotation),
        "genes": len(gene_ids),
        "genes_with_protein": len(proteins),
        "chosen_by": {way: int(n) for way, n in proteins["chosen_by"].value_counts().items()},
        "residues": int(proteins["residues"].sum()),
        "residues_read": sum(len(piece) for protein in pieces for piece in protein),
        "windows_read": windows,
        "distinct_windows": len(plan.windows),
        "batch_residues": batch_residues,
        "device": device.type,
        "versions": identity["versions"],
    }
    write_json(output.with_suffix(".json"), summary)
    # Last, because the rule takes its presence for the end of the work.
    write_gene_table(output, gene_ids, table, proteins)
    shutil.rmtree(folder)
    if not any(state.iterdir()):
        state.rmdir()


def read_windows(
    files: Esm2Files, plan: ReadingPlan, folder: Path, device: torch.device
) -> torch.Tensor:
    """Return the mean residue vector of each window of the plan, float32 [n_windows, width].

    What is done is saved to `folder` every half minute, and what lies there is not done again.
    """
    from tqdm import tqdm

    from bulkformer.pretrain.esm2 import load_esm2, mean_residue_vectors

    parts = list(_saved(folder, files.width))
    done = sum(map(len, parts))
    first = [start for start, _ in plan.batches].index(done) if done < len(plan.windows) else None
    if first is None:
        return torch.cat(parts)
    model = load_esm2(files, device)
    lengths = np.cumsum([0, *map(len, plan.windows)])
    if done:
        print(f"{folder}: {done} of {len(plan.windows)} windows are done", file=sys.stderr)
    unsaved, saved_at = [], time.monotonic()
    with tqdm(
        desc="ESM2",
        total=int(lengths[-1]),
        initial=int(lengths[done]),
        unit="residue",
        unit_scale=True,
        mininterval=10,
    ) as progress:
        for start, stop in plan.batches[first:]:
            unsaved.append(mean_residue_vectors(model, plan.windows[start:stop], files.vocabulary))
            progress.update(int(lengths[stop] - lengths[start]))
            if time.monotonic() - saved_at >= SAVE_SECONDS or stop == len(plan.windows):
                parts.append(torch.cat(unsaved))
                _save(folder, stop - len(parts[-1]), parts[-1])
                unsaved, saved_at = [], time.monotonic()
    return torch.cat(parts)


def pooled(pieces: list[list[str]], plan: ReadingPlan, means: torch.Tensor) -> np.ndarray:
    """Return the mean over all residues of each protein, float32 [n_proteins, width].

    Every residue counts alike, whichever window it is in.
    """
    place = {window: at for at, window in enumerate(plan.windows)}
    vectors = means.double().numpy()
    rows = np.empty((len(pieces), vectors.shape[1]), dtype=np.float32)
    for row, protein in zip(rows, pieces, strict=True):
        weight = [len(piece) for piece in protein]
        row[:] = np.average(vectors[[place[piece] for piece in protein]], axis=0, weights=weight)
    return rows


def _identity(
    files: Esm2Files, plan: ReadingPlan, batch_residues: int, device: torch.device
) -> dict[str, dict[str, object]]:
    """Return all that the numbers depend on, down to their last bit."""
    from importlib.metadata import version

    return {
        "model": {
            f"esm2_{name}_sha256": sha256(files.path / file)
            for name, file in (("weights", WEIGHTS), ("config", CONFIG), ("vocabulary", VOCABULARY))
        },
        "plan": {
            "windows": hashlib.sha256("\n".join(plan.windows).encode()).hexdigest(),
            "batch_residues": batch_residues,
            "device": device.type,
        },
        "versions": {
            "bulkformer": bulkformer.__version__,
            "torch": torch.__version__,
            "transformers": version("transformers"),
        },
    }


def _save(folder: Path, first: int, means: torch.Tensor) -> None:
    """Save the vectors of the windows from `first` on."""
    from safetensors.torch import save_file

    with atomic(folder / f"{first:08d}.safetensors") as partial:
        save_file({"means": means}, partial)


def _saved(folder: Path, width: int) -> Iterator[torch.Tensor]:
    """Yield what earlier runs saved, in the order of windows, as far as nothing is missing."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    done = 0
    while (path := folder / f"{done:08d}.safetensors").exists():
        try:
            means = load_file(path)["means"]
        except (SafetensorError, OSError, KeyError) as error:
            raise InputError(f"{path}: damaged ({error}); delete {folder}") from error
        if means.ndim != 2 or means.shape[1] != width or not len(means):
            raise InputError(f"{path}: of another run; delete {folder}")
        yield means
        done += len(means)


if __name__ == "__main__":
    command(protein_embeddings)
