"""Proteins of the invented genes, and a language model small enough to read them in a moment.

The proteins stand in Ensembl's FASTA with what makes the real file awkward: one protein a
transcript, copies on patches, stops and unknown residues, a giant, a gene whose canonical
transcript has no protein, and genes without any. The model has the files and tokens of ESM2 but
random weights: what it makes of a protein is arbitrary, and the same for the same residues.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow.parquet as pq
from typer import Option

from bulkformer.cli import command
from bulkformer.files import atomic, write_json
from bulkformer.simulate.writers import gzip_text
from bulkformer.sources.ensembl import canonical_transcripts
from bulkformer.sources.esm2 import CONFIG, SPECIAL_TOKENS, TOKENIZER, VOCABULARY

# The tokens of ESM2 in the order of their ids.
RESIDUES = "LAGVSERTIDPNKQFYMHWC"
TOKENS = ["<cls>", "<pad>", "<eos>", "<unk>", *RESIDUES, *"XBUZO", ".", "-", "<null_1>", "<mask>"]
# Shares of human proteins, in per cent, in the order of RESIDUES.
FREQUENCY = np.array(
    [
        *(10.0, 7.0, 6.6, 6.0, 8.3, 7.1, 5.6, 5.4, 4.3, 4.7),
        *(6.3, 3.6, 5.7, 4.8, 3.6, 2.7, 2.1, 2.6, 1.2, 2.3),
    ]
)
WITHOUT_PROTEIN = 0.01  # share of coding genes, at least one
FAMILY = 8  # genes that share one sequence, as histones do
LONGEST = 1500  # residues of the one protein that does not fit into a window
LINE = 60  # residues on a line of Ensembl's files
WIDTH, LAYERS, HEADS, POSITIONS = 16, 2, 2, 1026


def proteins(
    gtf: Annotated[Path, Option(help="annotation of the universe")],
    truth_genes: Annotated[Path, Option(help="biotypes of its genes")],
    seed: Annotated[int, Option()],
    peptides: Annotated[Path, Option(help="pep.all FASTA to write")],
    weights: Annotated[Path, Option(help="model.safetensors to write, its other files beside it")],
) -> None:
    """Write a protein for each transcript of the coding genes, and a random ESM2."""
    rng = np.random.default_rng([seed, *b"proteins"])
    table = pq.read_table(truth_genes, columns=["gene_id", "biotype", "in_vocabulary"]).to_pylist()
    canonical = canonical_transcripts(gtf)
    coding = [gene for gene in table if gene["biotype"] == "protein_coding"]
    own = [gene["gene_id"] for gene in coding if gene["in_vocabulary"]]
    chosen = rng.permutation(own).tolist()
    without = set(chosen[: max(1, int(WITHOUT_PROTEIN * len(own)))])
    rest = chosen[len(without) :]
    family, special = set(rest[:FAMILY]), rest[FAMILY : FAMILY + 4]
    shared = draw_protein(rng, 120)
    with gzip_text(peptides) as file:
        for number, gene in enumerate(coding):
            gene_id = gene["gene_id"]
            sequence = draw_protein(rng, int(np.clip(rng.lognormal(4.2, 0.5), 25, 400)))
            if gene_id in without:
                continue
            if gene_id in family:
                sequence = shared
            elif gene_id in special:
                sequence = unusual(sequence, special.index(gene_id), rng)
            place = f"ENSP00000{950_001 + 2 * number}.1 pep", _place(gene, number)
            transcript = canonical.get(gene_id, "")
            if not transcript or gene_id == rest[-1]:
                transcript = f"ENST00000{980_001 + number}"
            # The shorter protein of another transcript often comes first in the real file.
            shorter = sequence[: max(20, len(sequence) // 2)]
            other = f"ENSP00000{950_002 + 2 * number}.1 pep", _place(gene, number)
            _write(file, other, gene_id, f"ENST00000{990_001 + number}", shorter)
            _write(file, place, gene_id, transcript, sequence)
    write_random_esm2(weights, seed)


def draw_protein(rng: np.random.Generator, length: int) -> str:
    """Draw residues as often as human proteins have them, after a methionine."""
    return "M" + "".join(rng.choice(list(RESIDUES), length - 1, p=FREQUENCY / FREQUENCY.sum()))


def unusual(sequence: str, kind: int, rng: np.random.Generator) -> str:
    """Return the sequence with selenocysteine, unknown residues, a stop, or as a giant."""
    middle = len(sequence) // 2
    return [
        f"{sequence[:middle]}U{sequence[middle:]}",
        f"XX{sequence}X",
        f"{sequence[:middle]}*{sequence[middle:]}*",
        draw_protein(rng, LONGEST),
    ][kind]


def write_random_esm2(weights: Path, seed: int) -> None:
    """Write the five files of an ESM2 model whose weights are random; same seed, same bytes."""
    import torch
    from safetensors.torch import save_file

    generator = torch.Generator().manual_seed(seed)
    with atomic(weights) as partial:
        save_file(random_weights(generator), partial, metadata={"format": "pt"})
    folder = weights.parent
    write_json(
        folder / CONFIG,
        {
            "architectures": ["EsmForMaskedLM"],
            "attention_probs_dropout_prob": 0.0,
            "emb_layer_norm_before": False,
            "hidden_act": "gelu",
            "hidden_dropout_prob": 0.0,
            "hidden_size": WIDTH,
            "initializer_range": 0.02,
            "intermediate_size": 4 * WIDTH,
            "layer_norm_eps": 1e-05,
            "mask_token_id": TOKENS.index("<mask>"),
            "max_position_embeddings": POSITIONS,
            "model_type": "esm",
            "num_attention_heads": HEADS,
            "num_hidden_layers": LAYERS,
            "pad_token_id": TOKENS.index("<pad>"),
            "position_embedding_type": "rotary",
            "token_dropout": True,
            "vocab_size": len(TOKENS),
        },
    )
    roles = {f"{role}_token": f"<{role}>" for role in ("cls", "eos", "mask", "pad", "unk")}
    write_json(folder / SPECIAL_TOKENS, roles)
    write_json(folder / TOKENIZER, roles | {"tokenizer_class": "EsmTokenizer"})
    with atomic(folder / VOCABULARY) as partial:
        partial.write_text("\n".join(TOKENS))


def random_weights(generator) -> dict:
    """Draw the tensors of ESM2 under their released names; {name: float32 tensor}."""
    import torch

    def matrix(rows: int, columns: int) -> torch.Tensor:
        return torch.randn(rows, columns, generator=generator) / columns**0.5

    state = {"esm.embeddings.word_embeddings.weight": matrix(len(TOKENS), WIDTH)}
    norms = ["esm.encoder.emb_layer_norm_after"]
    for layer in (f"esm.encoder.layer.{number}" for number in range(LAYERS)):
        shapes = {
            **{f"attention.self.{part}": (WIDTH, WIDTH) for part in ("query", "key", "value")},
            "attention.output.dense": (WIDTH, WIDTH),
            "intermediate.dense": (4 * WIDTH, WIDTH),
            "output.dense": (WIDTH, 4 * WIDTH),
        }
        for name, (rows, columns) in shapes.items():
            state[f"{layer}.{name}.weight"] = matrix(rows, columns)
            state[f"{layer}.{name}.bias"] = torch.zeros(rows)
        norms += [f"{layer}.attention.LayerNorm", f"{layer}.LayerNorm"]
    for norm in norms:
        state[f"{norm}.weight"], state[f"{norm}.bias"] = torch.ones(WIDTH), torch.zeros(WIDTH)
    return state


def _place(gene: dict, number: int) -> str:
    if gene["in_vocabulary"]:
        return f"chromosome:GRCh38:{number % 22 + 1}:{1000 * number + 1}:{1000 * number + 900}:1"
    return f"scaffold:GRCh38:CHR_HSCHR6_MHC_COX_CTG1:{1000 * number + 1}:{1000 * number + 900}:1"


def _write(file, place: tuple[str, str], gene_id: str, transcript: str, sequence: str) -> None:
    """Write one record as Ensembl's release 107 does."""
    file.write(
        f">{' '.join(place)} gene:{gene_id}.1 transcript:{transcript}.1 "
        "gene_biotype:protein_coding transcript_biotype:protein_coding "
        "description:an invented protein [Source:none]\n"
    )
    for start in range(0, len(sequence), LINE):
        file.write(sequence[start : start + LINE] + "\n")


if __name__ == "__main__":
    command(proteins)
