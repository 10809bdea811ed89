"""Both networks as one would write them straight from the papers, of off-the-shelf parts.

performer-pytorch gives the Performer (plain, not reversible, projections never redrawn),
torch_geometric the graph convolution, which gathers and scatters one message an edge. All else is
plain PyTorch. This is what the speed and memory of ours are measured against.
"""

from __future__ import annotations

import math
import warnings

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bulkformer.model.bulkformer import BulkFormer
from bulkformer.model.bulkformer_latest import BulkFormerLatest
from bulkformer.model.graph_convolution import Graph, normalise_adjacency

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from performer_pytorch import Performer
    from torch_geometric.nn import GCNConv


def reference_of(model: BulkFormer | BulkFormerLatest, graph: Graph) -> nn.Module:
    """Return the straightforward network with the weights of `model`, key by key."""
    kind = ReferenceBulkFormer if isinstance(model, BulkFormer) else ReferenceLatest
    reference = kind(model.config, graph)
    reference.load_state_dict(model.state_dict())
    return reference.to(next(model.parameters()).device).train(model.training)


def performer(dim: int, layers: int, heads: int, features: int, **dropout: float) -> Performer:
    """Return the Performer of performer-pytorch as both networks use it."""
    return Performer(
        dim=dim,
        depth=layers,
        heads=heads,
        dim_head=dim // heads,
        nb_features=features,
        qkv_bias=True,
        feature_redraw_interval=None,
        **dropout,
    )


class EdgewiseConvolution(GCNConv):
    """GCNConv over edges that were normalised once, which spares it the work in every step."""

    def __init__(self, dim: int, graph: Graph, n_genes: int, bias: bool = True):
        super().__init__(dim, dim, normalize=False, bias=bias)
        edges = normalise_adjacency(graph, n_genes)
        # torch_geometric sends messages from the first row of its edges to the second.
        ends = torch.stack([edges.target, edges.source])
        self.register_buffer("ends", ends, persistent=False)
        self.register_buffer("edge_weight", edges.weight, persistent=False)

    def forward(self, h: Tensor) -> Tensor:
        """Convolve h [B, G, dim]."""
        return super().forward(h, self.ends, self.edge_weight)


def sinusoids(x: Tensor, inv_freq: Tensor, mask_value: float) -> Tensor:
    """Return [sin | cos] of the values, zeros where hidden [B, G, dim]."""
    angle = x.unsqueeze(-1) * inv_freq
    embedding = torch.cat([angle.sin(), angle.cos()], dim=-1)
    return torch.where((x == mask_value).unsqueeze(-1), 0.0, embedding)


class ReferenceBlock(nn.Module):
    """Graph convolution, then single-layer Performers."""

    def __init__(self, config, graph: Graph):
        super().__init__()
        self.layernorm = nn.LayerNorm(config.dim)
        self.g = EdgewiseConvolution(config.dim, graph, config.n_genes)
        dropout = {"attn_dropout": config.dropout, "ff_dropout": config.dropout}
        self.f = nn.ModuleList(
            performer(config.dim, 1, config.heads, config.features_per_head, **dropout)
            for _ in range(config.layers)
        )

    def forward(self, h: Tensor) -> Tensor:
        h = self.layernorm(h)
        h = h + self.g(h)
        for layer in self.f:
            h = layer(h)
        return h


class ReferenceBulkFormer(nn.Module):
    """The paper's network."""

    def __init__(self, config, graph: Graph):
        super().__init__()
        dim, n_genes = config.dim, config.n_genes
        gene_dim = getattr(config, "gene_dim", None) or dim
        self.mask_value = config.mask_value
        self.gene_emb_onehot_layer = nn.Embedding(n_genes, gene_dim)
        self.gene_emb_proj = self.projection(gene_dim, dim)
        self.expr_emb = nn.Module()
        self.expr_emb.inv_freq = nn.Parameter(torch.empty(dim // 2), requires_grad=False)
        self.global_expr_proj = self.projection(n_genes, dim)
        self.x_proj = self.projection(dim, dim)
        self.gb_formers = nn.ModuleList(ReferenceBlock(config, graph) for _ in range(config.blocks))
        self.layernorm = nn.LayerNorm(dim)
        self.head = nn.Sequential(
            nn.LayerNorm(dim + 3), nn.Linear(dim + 3, dim), nn.ReLU(), nn.Linear(dim, 1), nn.ReLU()
        )

    @staticmethod
    def projection(width_in: int, width_out: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Linear(width_in, 4 * width_out), nn.ReLU(), nn.Linear(4 * width_out, width_out)
        )

    def forward(self, x: Tensor, mask_fraction: Tensor | None = None) -> Tensor:
        """Predict [B, G] from [B, G]."""
        value = sinusoids(x, self.expr_emb.inv_freq, self.mask_value)
        gene = self.gene_emb_proj(self.gene_emb_onehot_layer.weight)
        sample = self.global_expr_proj(x).unsqueeze(1)
        h = self.x_proj(value + gene + sample)
        for block in self.gb_formers:
            h = block(h)
        h = self.layernorm(h)
        seen = x != self.mask_value
        n_seen = seen.sum(1) + 1e-8
        mean = (x * seen).sum(1) / n_seen
        hidden = x.new_zeros(len(x)) if mask_fraction is None else mask_fraction.expand(len(x))
        statistics = torch.stack([hidden, mean, (x != 0).float().mean(1)], dim=-1)
        statistics = statistics.unsqueeze(1).expand(-1, x.shape[1], -1)
        prediction = self.head(torch.cat([h, statistics], dim=-1)).squeeze(-1)
        shift = mean - (prediction * seen).sum(1) / n_seen
        return torch.where(seen, prediction, prediction + shift[:, None])


class ReferenceGraphBlock(nn.Module):
    """The gated graph step of the latest network."""

    def __init__(self, config, graph: Graph):
        super().__init__()
        self.norm = nn.LayerNorm(config.dim)
        self.input_projection = nn.Linear(config.dim, config.graph_dim, bias=False)
        self.convolution = EdgewiseConvolution(
            config.graph_dim, Graph(*graph).transposed(), config.n_genes, bias=False
        )
        self.output_projection = nn.Linear(config.graph_dim, config.dim, bias=False)
        self.dropout = nn.Dropout(config.graph_dropout)
        self.residual_scale = nn.Parameter(torch.empty(config.dim))

    def forward(self, h: Tensor) -> Tensor:
        message = self.convolution(self.input_projection(self.norm(h)))
        return h + self.residual_scale * self.dropout(self.output_projection(F.gelu(message)))


class ReferenceLatest(nn.Module):
    """The successor's network."""

    def __init__(self, config, graph: Graph):
        super().__init__()
        dim = config.dim
        self.config = config
        self.gene_embedding = nn.Embedding(config.n_genes, dim)
        self.expression_scale = nn.Parameter(torch.empty(()))
        self.input_norm = nn.LayerNorm(dim)
        self.graph_block = ReferenceGraphBlock(config, graph)
        self.pre_performer_norm = nn.LayerNorm(dim)
        dropout = {"attn_dropout": config.attention_dropout, "ff_dropout": config.dropout}
        self.performer = performer(dim, config.layers, config.heads, config.features, **dropout)
        self.output_norm = nn.LayerNorm(dim)
        self.expression_head = nn.Sequential(
            nn.Linear(dim, dim), nn.GELU(), nn.Dropout(config.dropout), nn.Linear(dim, 1)
        )
        frequencies = config.expression_base ** (-torch.arange(0, dim, 2) / dim)
        self.register_buffer("inv_freq", frequencies, persistent=False)

    def forward(self, x: Tensor, mask_fraction: Tensor | None = None) -> Tensor:
        """Predict [B, G] from [B, G]."""
        config = self.config
        table = self.gene_embedding.weight
        gene = table / torch.sqrt(table.square().mean(-1, keepdim=True) + 1e-8)
        seen = (x != config.mask_value).float().mean(1)
        scale = (1 - config.mask_ratio_reference) / seen.clamp_min(
            config.mask_ratio_min_visible_fraction
        )
        scale = scale.clamp_max(config.mask_ratio_max_scale)[:, None, None]
        value = sinusoids(x, self.inv_freq, config.mask_value) * (math.sqrt(2) * scale)
        h = self.input_norm(gene + self.expression_scale * value)
        h = self.performer(self.pre_performer_norm(self.graph_block(h)))
        return self.expression_head(self.output_norm(h)).squeeze(-1)
