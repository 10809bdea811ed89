"""An ESM2 checkpoint as Hugging Face releases it, looked over before any long work begins.

Only the header of the weights is read, so that neither torch nor gigabytes of memory are needed to
find that a download was cut, that configuration and weights are of two models, or that a pickle,
which can run code when it is opened, stands in place of tensors.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from bulkformer.errors import InputError
from bulkformer.sources.content import PAGES

CONFIG, WEIGHTS, VOCABULARY = "config.json", "model.safetensors", "vocab.txt"
TOKENIZER, SPECIAL_TOKENS = "tokenizer_config.json", "special_tokens_map.json"
PICKLE_SUFFIXES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
PICKLE_OPENINGS = (b"PK\x03\x04", b"\x80")
LFS_OPENING = b"version https://git-lfs"
FLOATS = ("F64", "F32", "BF16", "F16")
TOKENS = ("<cls>", "<pad>", "<eos>", "<unk>", "<mask>", *"ACDEFGHIKLMNPQRSTVWYX")
SIZES = (
    *("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"),
    *("vocab_size", "max_position_embeddings"),
)
# Heads that predict residues and contacts; a checkpoint may come without them.
HEADS = ("lm_head.", "esm.contact_head.", "esm.pooler.")
LAYER = re.compile(r"esm\.encoder\.layer\.(\d{1,6})\.")
REMEDY = "give the files of one ESM2 model as Hugging Face releases them"
SHOWN = 3  # tensors named in a message

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Esm2Files:
    """A checkpoint whose files agree with each other.

    Attributes
    ----------
    path : folder of the files
    width : numbers in the embedding of a residue
    layers : number of transformer layers
    positions : tokens the model was made for, two more than sequence, start and end may take
    vocabulary : tokens, each at the place of its id
    """

    path: Path
    width: int
    layers: int
    positions: int
    vocabulary: tuple[str, ...]


def open_esm2(path: Path) -> Esm2Files:
    """Check a checkpoint; `path` is its folder, or its model.safetensors.

    Configuration, names, shapes and types of the tensors, and the tokens must belong together.
    Tensors of the heads may be there or not. Raises InputError naming file, key or tensor if not,
    if a file is missing, cut, an HTML page, a Git LFS pointer or a pickle, and for relatives of
    ESM2 that share its file format (ESM-1b, ESMFold).
    """
    if path.name.lower().endswith(PICKLE_SUFFIXES):
        raise InputError(f"{path}: a pickle, which can run code; give {WEIGHTS}")
    folder = path if path.is_dir() else path.parent
    if path != folder and path.name != WEIGHTS:
        raise InputError(f"{path}: neither a folder nor {WEIGHTS}; {REMEDY}")
    for name in (CONFIG, WEIGHTS, VOCABULARY, TOKENIZER, SPECIAL_TOKENS):
        _check_file(folder / name)
    settings = _read_config(folder / CONFIG)
    vocabulary = _read_vocabulary(folder / VOCABULARY, settings)
    _check_tokenizer(folder)
    _check_weights(folder / WEIGHTS, settings)
    return Esm2Files(
        path=folder,
        width=settings["hidden_size"],
        layers=settings["num_hidden_layers"],
        positions=settings["max_position_embeddings"],
        vocabulary=vocabulary,
    )


def _check_file(path: Path) -> None:
    """Raise InputError if the file is absent or something else than its name says."""
    try:
        with path.open("rb") as handle:
            start = handle.read(512)
    except OSError as error:
        pickled = path.name == WEIGHTS and path.with_name("pytorch_model.bin").exists()
        hint = "; pytorch_model.bin is a pickle and is not opened" if pickled else ""
        raise InputError(f"{path}: cannot be opened ({error.strerror}){hint}; {REMEDY}") from error
    opening = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    found = [what for what, (openings, _) in PAGES.items() if opening.startswith(openings)]
    if start.startswith(LFS_OPENING):
        found.append("a Git LFS pointer")
    # A safetensors file may begin with any byte, but its ninth opens a JSON object.
    if start.startswith(PICKLE_OPENINGS) and start[8:9] != b"{":
        found.append("a pickle, which can run code,")
    if found:
        raise InputError(f"{path}: {found[0]} and not the file; fetch it again, or {REMEDY}")


def _read_config(path: Path) -> dict[str, Any]:
    settings = _read_object(path)
    if settings.get("model_type") != "esm":
        raise InputError(
            f"{path}: model_type is {settings.get('model_type')!r}, not 'esm'; {REMEDY}"
        )
    for name in SIZES:
        value = settings.get(name)
        if type(value) is not int or value < 1:
            raise InputError(f"{path}: {name} is {value!r} and no number above 0; {REMEDY}")
    relatives = {
        "position_embedding_type": settings.get("position_embedding_type") != "rotary",
        "emb_layer_norm_before": bool(settings.get("emb_layer_norm_before")),
        "is_folding_model": bool(settings.get("is_folding_model")),
    }
    for name, is_other in relatives.items():
        if is_other:
            raise InputError(
                f"{path}: {name} is {settings.get(name)!r}, so this is another model than ESM2; "
                f"{REMEDY}"
            )
    # Rotary positions turn pairs of numbers of a head.
    if settings["hidden_size"] % (2 * settings["num_attention_heads"]):
        raise InputError(
            f"{path}: hidden_size {settings['hidden_size']} does not divide into "
            f"{settings['num_attention_heads']} heads of even width; {REMEDY}"
        )
    return settings


def _read_vocabulary(path: Path, settings: dict[str, Any]) -> tuple[str, ...]:
    tokens = tuple(line.strip() for line in _read_text(path).splitlines())
    if len(tokens) != settings["vocab_size"]:
        raise InputError(
            f"{path}: {len(tokens)} tokens, but vocab_size in {CONFIG} is "
            f"{settings['vocab_size']}; {REMEDY}"
        )
    if len(set(tokens)) < len(tokens):
        raise InputError(f"{path}: a token stands twice; {REMEDY}")
    if absent := [token for token in TOKENS if token not in tokens]:
        raise InputError(f"{path}: no token {_listed(absent)}; {REMEDY}")
    for name, token in (("pad_token_id", "<pad>"), ("mask_token_id", "<mask>")):
        at = settings.get(name)
        if at is not None and at != tokens.index(token):
            raise InputError(
                f"{path}: {token} is token {tokens.index(token)}, but {name} in {CONFIG} is "
                f"{at!r}; {REMEDY}"
            )
    return tokens


def _check_tokenizer(folder: Path) -> None:
    """The tokens that begin, end and fill a sequence bear the names that ESM2 knows."""
    kind = _read_object(folder / TOKENIZER).get("tokenizer_class", "EsmTokenizer")
    if kind != "EsmTokenizer":
        raise InputError(f"{folder / TOKENIZER}: tokenizer_class is {kind!r}; {REMEDY}")
    special = _read_object(folder / SPECIAL_TOKENS)
    for role in ("cls", "eos", "mask", "pad", "unk"):
        token = special.get(f"{role}_token", f"<{role}>")
        token = token.get("content") if isinstance(token, dict) else token
        if token != f"<{role}>":
            raise InputError(
                f"{folder / SPECIAL_TOKENS}: {role}_token is {token!r}, not '<{role}>'; {REMEDY}"
            )


def _check_weights(path: Path, settings: dict[str, Any]) -> None:
    """Raise InputError unless the tensors are those of the network that config.json describes."""
    try:
        with safe_open(path, framework="numpy") as file:
            parts = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            shapes = {name: tuple(part.get_shape()) for name, part in parts.items()}
            types = {name: part.get_dtype() for name, part in parts.items()}
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"{path}: not a whole safetensors file ({error}); fetch it again"
        ) from error
    layers = {int(match[1]) for match in map(LAYER.match, shapes) if match}
    wanted = settings["num_hidden_layers"]
    gap = next(at for at in range(len(layers) + 1) if at not in layers)
    if gap < wanted or len(layers) > wanted:
        raise InputError(
            f"{path}: {f'no layer {gap}' if gap < wanted else f'{len(layers)} layers'}, but "
            f"num_hidden_layers in {CONFIG} is {wanted}; {REMEDY}"
        )
    required, optional = _expected(settings)
    expected = required | optional
    known = expected.keys() & shapes.keys()
    problems = {
        "missing": required.keys() - shapes.keys(),
        "unexpected": {n for n in shapes.keys() - expected.keys() if not n.startswith(HEADS)},
        "of another shape": {
            f"{name} {list(shapes[name])} instead of {list(expected[name])}"
            for name in known
            if shapes[name] != expected[name]
        },
        "no floating point numbers": {
            f"{name} {types[name]}" for name in known & required.keys() if types[name] not in FLOATS
        },
    }
    if found := [f"{what}: {_listed(sorted(names))}" for what, names in problems.items() if names]:
        raise InputError(f"{path}: not the weights that {CONFIG} describes; {'; '.join(found)}")


def _expected(settings: dict[str, Any]) -> tuple[dict[str, Shape], dict[str, Shape]]:
    """Return {tensor: shape} of what ESM2 computes with, and of what files may hold besides."""
    width, inner, words, positions = (
        settings[name]
        for name in ("hidden_size", "intermediate_size", "vocab_size", "max_position_embeddings")
    )
    required: dict[str, Shape] = {
        "esm.embeddings.word_embeddings.weight": (words, width),
        "esm.encoder.emb_layer_norm_after.weight": (width,),
        "esm.encoder.emb_layer_norm_after.bias": (width,),
    }
    # Rotary positions are computed; older versions of the library stored tables that nobody reads.
    optional: dict[str, Shape] = {
        "esm.embeddings.position_embeddings.weight": (positions, width),
        "esm.embeddings.position_ids": (1, positions),
    }
    linear = {
        "attention.self.query": (width, width),
        "attention.self.key": (width, width),
        "attention.self.value": (width, width),
        "attention.output.dense": (width, width),
        "intermediate.dense": (inner, width),
        "output.dense": (width, inner),
    }
    for layer in range(settings["num_hidden_layers"]):
        prefix = f"esm.encoder.layer.{layer}"
        for name, shape in linear.items():
            required[f"{prefix}.{name}.weight"] = shape
            required[f"{prefix}.{name}.bias"] = shape[:1]
        for name in ("attention.LayerNorm", "LayerNorm"):
            required[f"{prefix}.{name}.weight"] = required[f"{prefix}.{name}.bias"] = (width,)
        frequencies = width // settings["num_attention_heads"] // 2
        optional[f"{prefix}.attention.self.rotary_embeddings.inv_freq"] = (frequencies,)
    return required, optional


def _read_object(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(_read_text(path))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON ({error}); fetch it again") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: not a JSON object; fetch it again")
    return content


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a readable text file ({error}); fetch it again") from error


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
