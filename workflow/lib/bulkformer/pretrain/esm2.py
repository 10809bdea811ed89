"""The protein language model ESM2: read from a local folder, and asked for one vector a protein.

Nothing is fetched and nothing of the folder is run: the hub is told to be offline before it loads,
only safetensors are opened, and a checkpoint whose files disagree was refused before.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import torch
from torch import Tensor

from bulkformer.errors import InputError
from bulkformer.sources.esm2 import Esm2Files

START, END, PADDING, UNKNOWN = "<cls>", "<eos>", "<pad>", "<unk>"
OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
}
# What no file needs to hold: the head that predicts contacts, and angles that are computed.
NOT_STORED = ("contact_head.", "rotary_embeddings.")


def load_esm2(files: Esm2Files, device: torch.device) -> torch.nn.Module:
    """Return the network in float32 and evaluation mode.

    Raises InputError if a tensor is missing, or does not fit.
    """
    os.environ.update(OFFLINE)  # the hub reads them once, when it is imported
    from safetensors import SafetensorError
    from transformers import EsmModel
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        model, found = EsmModel.from_pretrained(
            files.path,
            local_files_only=True,
            use_safetensors=True,
            add_pooling_layer=False,
            dtype=torch.float32,
            output_loading_info=True,
        )
    except (SafetensorError, OSError, RuntimeError, ValueError) as error:
        raise InputError(f"{files.path}: not a readable ESM2 model ({error})") from error
    missing = [key for key in found["missing_keys"] if not key.startswith(NOT_STORED)]
    if missing or found["mismatched_keys"]:
        raise InputError(
            f"{files.path}: tensors are missing or of another shape, first "
            f"{[*missing, *map(str, found['mismatched_keys'])][0]}; fetch the files again"
        )
    return model.eval().to(device)


def tokens_of(windows: Sequence[str], vocabulary: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Return token ids int64 [n, longest + 2], padded behind, and the lengths with both ends [n].

    A residue that the model has no token for becomes the unknown token.
    """
    number = {token: at for at, token in enumerate(vocabulary)}
    unknown = number[UNKNOWN]
    lengths = torch.tensor([len(window) + 2 for window in windows])
    tokens = torch.full((len(windows), int(lengths.max())), number[PADDING])
    for row, window in zip(tokens, windows, strict=True):
        residues = [number.get(residue, unknown) for residue in window]
        row[: len(window) + 2] = torch.tensor([number[START], *residues, number[END]])
    return tokens, lengths


@torch.inference_mode()
def mean_residue_vectors(
    model: torch.nn.Module, windows: Sequence[str], vocabulary: Sequence[str]
) -> Tensor:
    """Return the mean of the last layer over the residues of each window, float32 [n, width].

    Start, end and padding are in no mean. The sum runs in float64, so that it does not depend on
    the padding. Raises InputError if the network gives what is no finite number.
    """
    device = next(model.parameters()).device
    tokens, lengths = (tensor.to(device) for tensor in tokens_of(windows, vocabulary))
    place = torch.arange(tokens.shape[1], device=device)
    present = place < lengths[:, None]
    hidden = model(input_ids=tokens, attention_mask=present.long()).last_hidden_state
    is_residue = (place > 0) & (place < lengths[:, None] - 1)
    total = hidden.double().where(is_residue[..., None], 0).sum(1)
    means = (total / (lengths[:, None] - 2)).float().cpu()
    if not torch.isfinite(means).all():
        raise InputError(
            "ESM2 gives what is no finite number; its weights are damaged: fetch the files again"
        )
    return means
