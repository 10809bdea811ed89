"""BulkFormer as in the paper and its released checkpoints (37M to 147M).

A sample is a row of natural log1p(TPM) over the gene vocabulary, with -10 where a gene is masked or
absent. Every gene becomes a token; tokens exchange messages along the gene graph, then attend to
all other genes, and each predicts its own expression. Attribute names are the released keys.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bulkformer.errors import InputError
from bulkformer.model.attention_features import default_features
from bulkformer.model.embedding import ExpressionEmbedding
from bulkformer.model.graph_convolution import Graph, GraphConvolution
from bulkformer.model.performer import CanCheckpointActivations, Performer
from bulkformer.model.token_wise import FullPrecisionLinear, Projection


@dataclass(frozen=True)
class BulkFormerConfig:
    """What shapes the network. `features` (random features a head) None means d ln d.

    `gene_dim` is the width of the gene table, None that of the tokens as in the release. A table
    that is not trained stays as it began; it is saved with the weights all the same.
    """

    n_genes: int
    dim: int
    layers: int
    heads: int = 8
    features: int | None = None
    blocks: int = 1
    expression_base: float = 100.0
    mask_value: float = -10.0
    dropout: float = 0.0
    gene_dim: int | None = None
    gene_table_trained: bool = True

    def __post_init__(self) -> None:
        if self.dim % 2 or self.dim % self.heads:
            raise InputError(
                f"dim {self.dim} must be even and a multiple of heads {self.heads}; change either"
            )

    @property
    def features_per_head(self) -> int:
        return self.features or default_features(self.dim // self.heads)


# The names count a gene table of 1,280 columns, as ESM2 gives it, which the December 2025 release
# replaced by one as wide as the tokens: the released 37M has 13.4 million parameters.
PRESETS = {
    "37M": BulkFormerConfig(n_genes=20010, dim=128, layers=1),
    "50M": BulkFormerConfig(n_genes=20010, dim=256, layers=2),
    "93M": BulkFormerConfig(n_genes=20010, dim=512, layers=6),
    "127M": BulkFormerConfig(n_genes=20010, dim=640, layers=8),
    "147M": BulkFormerConfig(n_genes=20010, dim=640, layers=12),
}


class Block(nn.Module):
    """A message from graph neighbours, then attention among all genes."""

    def __init__(self, config: BulkFormerConfig, graph: Graph, chunk: int | None):
        super().__init__()
        self.layernorm = nn.LayerNorm(config.dim)
        self.g = GraphConvolution(config.dim, graph, config.n_genes)
        self.f = nn.ModuleList(
            Performer(
                config.dim,
                1,
                config.heads,
                config.features_per_head,
                attention_dropout=config.dropout,
                feed_forward_dropout=config.dropout,
                chunk=chunk,
            )
            for _ in range(config.layers)
        )

    def forward(self, h: Tensor) -> Tensor:
        h = self.layernorm(h)
        h = h + self.g(h)
        for performer in self.f:
            h = performer(h)
        return h


class BulkFormer(CanCheckpointActivations):
    """Masked expression model over a fixed gene vocabulary.

    The graph is an input: it moves with the module, but is not in the state dict. `chunk` bounds
    the tokens a time (memory, not results). Initial weights come from the global generator; use
    `initialise` for a seed.
    """

    def __init__(self, config: BulkFormerConfig, graph: Graph, chunk: int | None = None):
        super().__init__()
        dim = config.dim
        self.config = config
        self.gene_emb_onehot_layer = nn.Embedding(config.n_genes, config.gene_dim or dim)
        self.gene_emb_onehot_layer.requires_grad_(config.gene_table_trained)
        self.gene_emb_proj = Projection(config.gene_dim or dim, dim, chunk)
        self.expr_emb = ExpressionEmbedding(
            dim, config.expression_base, config.mask_value, stored=True
        )
        self.global_expr_proj = Projection(config.n_genes, dim)
        self.x_proj = Projection(dim, dim, chunk)
        self.gb_formers = nn.ModuleList(Block(config, graph, chunk) for _ in range(config.blocks))
        self.layernorm = nn.LayerNorm(dim)
        self.head = nn.Sequential(
            nn.LayerNorm(dim + 3),
            nn.Linear(dim + 3, dim),
            nn.ReLU(),
            FullPrecisionLinear(dim, 1),
            nn.ReLU(),
        )

    def forward(self, x: Tensor, mask_fraction: float | Tensor | None = None) -> Tensor:
        """Predict the expression of every gene: [B, G] to [B, G], both natural log1p(TPM).

        `mask_fraction` (one number or [B]) tells the network which share of its input is hidden.
        Predictions at masked genes are shifted to the scale of the sample and may be negative.
        """
        prediction = self.head(self.embed(x, mask_fraction)).squeeze(-1)
        return self.rescale_masked(prediction, x)

    def embed(self, x: Tensor, mask_fraction: float | Tensor | None = None) -> Tensor:
        """Return gene vectors [B, G, dim + 3]: the trunk's, then three statistics of the sample."""
        h = self.trunk(self.tokens(x))
        return torch.cat([h, self.statistics(x, mask_fraction)], dim=-1)

    def tokens(self, x: Tensor) -> Tensor:
        """Sum what is known of a gene: its value, its identity, and the sample as a whole.

        The sample's projection sees masked genes as -10, as in the released model.
        """
        gene = self.gene_emb_proj(self.gene_emb_onehot_layer.weight)
        sample = self.global_expr_proj(x)
        # Half precision stays within linear maps: what passes from step to step is as exact as x.
        return self.x_proj(self.expr_emb(x), gene, sample).to(x.dtype)

    def trunk(self, h: Tensor) -> Tensor:
        """Let tokens [B, G, dim] exchange what they know."""
        for block in self.gb_formers:
            h = block(h)
        return self.layernorm(h)

    def statistics(self, x: Tensor, mask_fraction: float | Tensor | None) -> Tensor:
        """Return mask fraction (None: 0), mean observed value and share of x != 0 [B, G, 3].

        The share counts masked genes as non-zero, as in the released model.
        """
        hidden = 0.0 if mask_fraction is None else mask_fraction
        hidden = torch.as_tensor(hidden, dtype=x.dtype, device=x.device)
        columns = [hidden.expand(len(x)), self.observed_mean(x, x), (x != 0).to(x.dtype).mean(1)]
        return torch.stack(columns, dim=-1).unsqueeze(1).expand(-1, x.shape[1], -1)

    def rescale_masked(self, prediction: Tensor, x: Tensor) -> Tensor:
        """Shift predictions at masked genes by the mean error at observed genes."""
        shift = self.observed_mean(x, x) - self.observed_mean(prediction, x)
        return torch.where(x == self.config.mask_value, prediction + shift[:, None], prediction)

    def observed_mean(self, values: Tensor, x: Tensor) -> Tensor:
        """Return the mean of `values` [B, G] over the genes that x shows, 0 if it shows none."""
        observed = x != self.config.mask_value
        return values.where(observed, 0).sum(1) / (observed.sum(1) + 1e-8)


def initialise(
    config: BulkFormerConfig,
    graph: Graph,
    seed: int,
    prediction_start: float | None = None,
    chunk: int | None = None,
) -> BulkFormer:
    """Build a network whose initial weights depend on the seed alone; the caller's generator rests.

    `prediction_start` sets the bias of the last layer, e.g. to the mean expression of the corpus:
    its ReLU passes no gradient where an unlucky start is negative.
    """
    with seeded_weights(seed):
        model = BulkFormer(config, graph, chunk)
    if prediction_start is not None:
        nn.init.constant_(model.head[3].bias, prediction_start)
    return model


@contextmanager
def seeded_weights(seed: int) -> Iterator[None]:
    """Draw initial weights from `seed` within the block; afterwards all is as before."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
