"""Both networks by name: their sizes as published, sizes by hand, and how weights begin.

The paper's network and its successor share their building blocks but not their settings. Here one
section of the config becomes the configuration of either, and what one of them does not know is
refused rather than ignored.
"""

from __future__ import annotations

from dataclasses import fields, replace
from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor, nn

from bulkformer.errors import InputError
from bulkformer.model import bulkformer, bulkformer_latest
from bulkformer.model.bulkformer import BulkFormer, BulkFormerConfig, seeded_weights
from bulkformer.model.bulkformer_latest import BulkFormerLatest, BulkFormerLatestConfig
from bulkformer.model.graph_convolution import Graph

Model = BulkFormer | BulkFormerLatest
ModelConfig = BulkFormerConfig | BulkFormerLatestConfig

VARIANTS: dict[str, tuple[type[Model], type[ModelConfig]]] = {
    "paper": (BulkFormer, BulkFormerConfig),
    "latest": (BulkFormerLatest, BulkFormerLatestConfig),
}
PRESETS: dict[str, ModelConfig] = {**bulkformer.PRESETS, "latest": BulkFormerLatestConfig()}
LEARNED, ESM2 = "learned", "esm2"
ESM2_WIDTH = 1280  # of esm2_t33_650M_UR50D, the one that fits the matrix that the authors published
PLACE = "pretrain.model"
# Of a configuration, but no setting: the vocabulary, and what gene_identity stands for.
DERIVED = {"n_genes", "gene_dim", "gene_table_trained"}
GENERAL = {"variant", "preset", "gene_identity", "gene_identity_trained"}
REQUIRED = ("dim", "layers", "heads")  # of a network by hand; the rest has defaults


def build(
    settings: dict[str, Any], n_genes: int, gene_dim: int | None = None
) -> BulkFormerConfig | BulkFormerLatestConfig:
    """Return the configuration that the config section `pretrain.model` describes.

    Parameters
    ----------
    settings : variant (paper or latest), preset (a key of PRESETS or None), gene_identity (learned
        or esm2), gene_identity_trained, and any setting of the variant's configuration. A setting
        that is None is that of the preset, or without one the default of the variant.
    n_genes : size of the vocabulary
    gene_dim : width of the table of gene_identity esm2, 1280 if None

    Raises
    ------
    InputError : an unknown variant, preset, gene identity or setting, a preset of the other
        variant, a setting that is no number of its kind, no preset and no dim, layers or heads, or
        a dim that the heads do not divide
    """
    given = {name: value for name, value in settings.items() if value is not None}
    variant = _choice(given, "variant", VARIANTS, "paper")
    preset = _choice(given, "preset", [None, *PRESETS], None)
    identity = _choice(given, "gene_identity", [LEARNED, ESM2], LEARNED)
    trained = given.get("gene_identity_trained", True)
    if type(trained) is not bool:
        raise InputError(f"{PLACE}.gene_identity_trained: {trained!r} is neither true nor false")
    kind = VARIANTS[variant][1]
    _refuse_unknown(settings, given, variant)
    sizes = {name: value for name, value in given.items() if name not in GENERAL}
    _check_numbers(sizes, kind)
    if preset is None:
        if absent := [name for name in REQUIRED if name not in sizes]:
            raise InputError(
                f"{PLACE}: without a preset, {', '.join(absent)} must be given; presets are "
                f"{', '.join(PRESETS)}"
            )
        base = kind(n_genes=n_genes, **{name: sizes[name] for name in REQUIRED})
    elif type(PRESETS[preset]) is kind:
        base = PRESETS[preset]
    else:
        fitting = [name for name, config in PRESETS.items() if type(config) is kind]
        raise InputError(
            f"{PLACE}.preset: '{preset}' is no size of the variant '{variant}'; its sizes are "
            f"{', '.join(fitting)}, or set the other variant"
        )
    return replace(
        base,
        n_genes=n_genes,
        gene_dim=(gene_dim or ESM2_WIDTH) if identity == ESM2 else None,
        gene_table_trained=trained,
        **sizes,
    )


def initialise_model(
    config: BulkFormerConfig | BulkFormerLatestConfig,
    graph: Graph,
    seed: int,
    prediction_start: float | None,
    gene_table: Tensor | None = None,
    chunk: int | None = None,
) -> BulkFormer | BulkFormerLatest:
    """Build a network whose initial weights depend on the seed, and on the gene table if given.

    Parameters
    ----------
    prediction_start : bias of the last layer, e.g. the mean log1p(TPM) of the corpus
    gene_table : start of the gene table, [n_genes, gene_dim or dim]; None draws it. A row of zeros
        says that nothing is known of the gene.

    Raises
    ------
    InputError : a table of another shape, or one that does not hold finite numbers only
    """
    start = bulkformer if isinstance(config, BulkFormerConfig) else bulkformer_latest
    model = start.initialise(config, graph, seed, prediction_start, chunk)
    if gene_table is not None:
        table = gene_table_of(model)
        if gene_table.shape != table.shape:
            raise InputError(
                f"the gene table has the shape {list(gene_table.shape)}, but the network wants "
                f"{list(table.shape)}: genes of the vocabulary, width of the table; compute the "
                "protein embeddings again with this vocabulary"
            )
        if not torch.isfinite(gene_table).all():
            raise InputError("the gene table holds what is no finite number; compute it again")
        with torch.no_grad():
            table.copy_(gene_table)
            if isinstance(model, BulkFormerLatest) and config.gene_table_trained:
                _start_unknown_genes(table, seed)
    return model


def gene_table_of(model: nn.Module) -> nn.Parameter:
    """Return the parameter that tells genes apart, [n_genes, width], before any projection."""
    if isinstance(model, BulkFormer):
        return model.gene_emb_onehot_layer.weight
    return model.gene_embedding.weight


def variant_of(model: nn.Module) -> str:
    """Return the name of a network's variant."""
    return next(name for name, (kind, _) in VARIANTS.items() if isinstance(model, kind))


def _start_unknown_genes(table: Tensor, seed: int) -> None:
    """Draw rows of zeros at the scale of the others.

    The latest network divides a row by its root mean square. At zero the gradient of that is ten
    thousand times its upstream, and clipping the whole gradient would leave nothing for the rest.
    """
    unknown = ~table.any(dim=1)
    if unknown.any() and not unknown.all():
        scale = table[~unknown].square().mean().sqrt()
        with seeded_weights(seed):
            table[unknown] = scale * torch.randn(int(unknown.sum()), table.shape[1])


def _choice(given: dict[str, Any], name: str, known: Any, default: Any) -> Any:
    value = given.get(name, default)
    if value not in list(known):
        names = ", ".join("null" if item is None else item for item in known)
        raise InputError(f"{PLACE}.{name}: '{value}' is unknown; known are {names}")
    return value


def _refuse_unknown(settings: dict[str, Any], given: dict[str, Any], variant: str) -> None:
    """Raise InputError for a name that no variant knows, or a value that this one cannot use."""
    own = {name: _settings_of(config) for name, (_, config) in VARIANTS.items()}
    anywhere = GENERAL.union(*own.values())
    for name in sorted(settings):
        if name not in anywhere:
            meant = get_close_matches(name, anywhere, n=1)
            hint = f"did you mean '{meant[0]}'?" if meant else f"known are {sorted(anywhere)}"
            raise InputError(f"{PLACE}.{name}: no setting of a network; {hint}")
        if name in given and name not in GENERAL | own[variant]:
            raise InputError(
                f"{PLACE}.{name}: the variant '{variant}' has no such setting; set it to null, or "
                "set another variant"
            )


def _settings_of(kind: type) -> set[str]:
    return {field.name for field in fields(kind)} - DERIVED


def _check_numbers(sizes: dict[str, Any], kind: type) -> None:
    """Raise InputError for sizes that are no whole numbers above 0, and shares outside [0, 1)."""
    types = {field.name: field.type for field in fields(kind)}
    for name, value in sizes.items():
        if types[name].startswith("int"):
            right = type(value) is int and value > 0
            wanted = "a whole number above 0"
        elif types[name] == "bool":
            right, wanted = type(value) is bool, "true or false"
        else:
            right, wanted = type(value) in (int, float), "a number"
            if name.endswith("dropout") and right:
                right, wanted = 0 <= value < 1, "a share from 0 to below 1"
        if not right:
            raise InputError(f"{PLACE}.{name}: {value!r} is not {wanted}")
