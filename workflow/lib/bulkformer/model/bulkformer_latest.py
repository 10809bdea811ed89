"""bulkformer-latest, the authors' successor model (architecture `BulkFormerV1Plus-v1`).

Against the paper's network: no projection of the whole sample and no summary statistics, a gated
graph step through a bottleneck, one stack of Performer layers, a scale that makes up for hidden
genes, and predictions that are neither rectified nor shifted. Attribute names are released keys.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bulkformer.errors import InputError
from bulkformer.model.bulkformer import seeded_weights
from bulkformer.model.embedding import ExpressionEmbedding
from bulkformer.model.graph_convolution import Graph, GraphConvolution
from bulkformer.model.performer import CanCheckpointActivations, Performer
from bulkformer.model.token_wise import FullPrecisionLinear


@dataclass(frozen=True)
class BulkFormerLatestConfig:
    """What shapes the network; the defaults are the release. Dropout acts in training only.

    `gene_dim` is the width of the gene table, None that of the tokens as in the release; of another
    width it is projected linearly. A table that is not trained stays as it began.
    """

    n_genes: int = 19973
    dim: int = 768
    layers: int = 12
    heads: int = 12
    features: int = 256
    graph_dim: int = 192
    expression_base: float = 100.0
    mask_value: float = -10.0
    dropout: float = 0.1
    attention_dropout: float = 0.05
    graph_dropout: float = 0.1
    graph_scale_start: float = 0.01
    expression_scale_start: float = 1.0
    mask_ratio_scaling_enabled: bool = True
    mask_ratio_reference: float = 0.1
    mask_ratio_max_scale: float = 2.0
    mask_ratio_min_visible_fraction: float = 0.05
    gene_dim: int | None = None
    gene_table_trained: bool = True

    def __post_init__(self) -> None:
        if self.dim % 2 or self.dim % self.heads:
            raise InputError(
                f"dim {self.dim} must be even and a multiple of heads {self.heads}; change either"
            )


class GatedGraphBlock(nn.Module):
    """h + gate * (message from graph neighbours), where the gate starts near zero."""

    def __init__(self, config: BulkFormerLatestConfig, graph: Graph):
        super().__init__()
        self.norm = nn.LayerNorm(config.dim)
        self.input_projection = nn.Linear(config.dim, config.graph_dim, bias=False)
        # Released edges point at the gene that receives, the other way round than in the paper's.
        self.convolution = GraphConvolution(
            config.graph_dim, Graph(*graph).transposed(), config.n_genes, bias=False
        )
        self.output_projection = nn.Linear(config.graph_dim, config.dim, bias=False)
        self.dropout = nn.Dropout(config.graph_dropout)
        self.residual_scale = nn.Parameter(torch.full((config.dim,), config.graph_scale_start))

    def forward(self, h: Tensor) -> Tensor:
        message = self.convolution(self.input_projection(self.norm(h)))
        return h + self.residual_scale * self.dropout(self.output_projection(F.gelu(message)))


class BulkFormerLatest(CanCheckpointActivations):
    """Masked expression model over a fixed gene vocabulary; natural log1p(TPM), hidden genes -10.

    The graph is an input: it moves with the module, but is not in the state dict. `chunk` bounds
    the tokens a time (memory, not results). Initial weights come from the global generator; use
    `initialise` for a seed.
    """

    def __init__(self, config: BulkFormerLatestConfig, graph: Graph, chunk: int | None = None):
        super().__init__()
        dim = config.dim
        self.config = config
        self.gene_embedding = nn.Embedding(config.n_genes, config.gene_dim or dim)
        self.gene_embedding.requires_grad_(config.gene_table_trained)
        self.gene_projection = nn.Identity()
        if config.gene_dim is not None:
            self.gene_projection = nn.Linear(config.gene_dim, dim, bias=False)
        self.expression_embedding = ExpressionEmbedding(
            dim, config.expression_base, config.mask_value, stored=False
        )
        self.expression_scale = nn.Parameter(torch.tensor(config.expression_scale_start))
        self.input_norm = nn.LayerNorm(dim)
        self.graph_block = GatedGraphBlock(config, graph)
        self.pre_performer_norm = nn.LayerNorm(dim)
        self.performer = Performer(
            dim,
            config.layers,
            config.heads,
            config.features,
            attention_dropout=config.attention_dropout,
            feed_forward_dropout=config.dropout,
            chunk=chunk,
        )
        self.output_norm = nn.LayerNorm(dim)
        self.expression_head = nn.Sequential(
            nn.Linear(dim, dim), nn.GELU(), nn.Dropout(config.dropout), FullPrecisionLinear(dim, 1)
        )

    def forward(self, x: Tensor, mask_fraction: float | Tensor | None = None) -> Tensor:
        """Predict the expression of every gene: [B, G] to [B, G], both natural log1p(TPM).

        This network sees from x what is hidden: `mask_fraction`, which the paper's is told, is
        taken so that both are called alike, and not used.
        """
        return self.expression_head(self.embed(x)).squeeze(-1)

    def embed(self, x: Tensor) -> Tensor:
        """Return gene vectors [B, G, dim]."""
        h = self.graph_block(self.tokens(x))
        return self.output_norm(self.performer(self.pre_performer_norm(h)))

    def embed_samples(self, x: Tensor) -> Tensor:
        """Return sample vectors [B, dim]: the mean over the genes that x shows, 0 if none."""
        observed = (x != self.config.mask_value).unsqueeze(-1)
        total = self.embed(x).where(observed, 0).sum(1)
        return total / observed.sum(1).clamp_min(1)

    def tokens(self, x: Tensor) -> Tensor:
        """Sum a gene's identity and value, each of root mean square 1 before their scales."""
        dim = self.config.dim
        gene = self.gene_projection(self.gene_embedding.weight).to(x.dtype)
        gene = F.rms_norm(gene, (dim,), eps=1e-8)
        value = self.expression_embedding(x) * (math.sqrt(2) * self.visibility_scale(x))
        return self.input_norm(gene + self.expression_scale * value)

    def visibility_scale(self, x: Tensor) -> Tensor:
        """Return [B, 1, 1], the factor by which the seen values speak for the hidden ones.

        It is 1 at the share of hidden genes seen in pretraining, hence below 1 with none hidden.
        """
        config = self.config
        if not config.mask_ratio_scaling_enabled:
            return x.new_ones(len(x), 1, 1)
        visible = (x != config.mask_value).to(x.dtype).mean(1)
        scale = (1 - config.mask_ratio_reference) / visible.clamp_min(
            config.mask_ratio_min_visible_fraction
        )
        return scale.clamp_max(config.mask_ratio_max_scale)[:, None, None]


def initialise(
    config: BulkFormerLatestConfig,
    graph: Graph,
    seed: int,
    prediction_start: float | None = None,
    chunk: int | None = None,
) -> BulkFormerLatest:
    """Build a network whose initial weights depend on the seed alone; as in the paper's."""
    with seeded_weights(seed):
        model = BulkFormerLatest(config, graph, chunk)
    if prediction_start is not None:
        nn.init.constant_(model.expression_head[3].bias, prediction_start)
    return model
