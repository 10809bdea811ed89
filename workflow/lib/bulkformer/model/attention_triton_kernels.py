"""The five kernels of FAVOR+ attention: φ of some genes and features, used and forgotten.

Each is a pass of flash attention with the random directions P in the place of the keys or of the
queries, so no φ [genes, features] ever reaches global memory. Two sum over genes, one tile of
features and one split of the genes a program (no atomics: the order of summation is fixed); three
go through the features of a block of genes. A program sees one head of one sample, its `pair`.
`attention_triton` launches them and says what they compute together.
"""

import triton
import triton.language as tl

from bulkformer.model.attention_triton_rows import (
    add_products,
    add_rows,
    add_weighted,
    half_norms,
    load_context,
    load_directions,
    load_genes,
    load_one,
    project,
    project_transposed,
    round_rows,
    scale_rows,
    store_genes,
    store_rows,
    zero_rows,
)


@triton.jit
def sum_over_keys(k, v, directions, peaks, sums, weights, n_genes, SHAPE: tl.constexpr):
    """Sum exp(z - h - peak) [v, 1] over the keys of a split, for a tile of features.

    The stabiliser of keys is a maximum over all genes, which would take a pass of its own. As in
    flash attention, each feature goes by the largest z that it has met, its peak; whoever adds up
    the splits puts them on one scale. Writes sums [pairs, splits, padded, d], and peaks and weights
    [pairs, splits, padded].
    """
    features = tl.program_id(0) * SHAPE.tile + tl.arange(0, SHAPE.tile)
    split, pair = tl.program_id(1), tl.program_id(2)
    rounded, rest = load_directions(directions, features, SHAPE)
    peak = tl.full((SHAPE.tile,), float("-inf"), tl.float32)
    weight = tl.zeros((SHAPE.tile,), tl.float32)
    total = zero_rows(SHAPE.tile, SHAPE)
    first = split * SHAPE.split
    for start in range(first, min(first + SHAPE.split, n_genes), SHAPE.genes):
        genes = start + tl.arange(0, SHAPE.genes)
        keys = load_genes(k, pair, genes, n_genes, SHAPE)
        values = load_genes(v, pair, genes, n_genes, SHAPE)
        z = project_transposed(keys, rounded, rest, SHAPE)
        z = tl.where((genes < n_genes)[None, :], z, float("-inf"))
        higher = tl.maximum(peak, tl.max(z, 1))
        phi = tl.exp(z - half_norms(keys, SHAPE)[None, :] - higher[:, None])
        phi = phi.to(values[0].dtype)  # before both sums, so that they are of the same weights
        shrink = tl.exp(peak - higher)
        weight = weight * shrink + tl.sum(phi.to(tl.float32), 1)
        total = add_weighted(scale_rows(total, shrink), phi, values)
        peak = higher
    rows = (pair.to(tl.int64) * tl.num_programs(1) + split) * SHAPE.padded + features
    tl.store(peaks + rows, peak)
    tl.store(weights + rows, weight)
    sums += (pair.to(tl.int64) * tl.num_programs(1) + split) * SHAPE.padded * SHAPE.width
    store_rows(sums, features, SHAPE.padded, SHAPE.width, total, SHAPE)


@triton.jit
def attend(
    q,
    directions,
    context,
    weights,
    centre,
    floor_sums,
    floor_weights,
    out,
    offsets,
    floors,
    n_genes,
    SHAPE: tl.constexpr,
):
    """Write out = centre + φ S / (φ s) for a block of queries; S = context, s = weights.

    The stabiliser of a query goes by the features met so far; norm and floor, the same for all of
    them, come in at the end. The gradient needs φ / (φ s) again: it is exp(z - offset) + floor,
    with these two numbers a query [pairs, N].
    """
    genes = tl.program_id(0) * SHAPE.genes + tl.arange(0, SHAPE.genes)
    pair = tl.program_id(1)
    queries = load_genes(q, pair, genes, n_genes, SHAPE)
    peak = tl.full((SHAPE.genes,), float("-inf"), tl.float32)
    weight = tl.zeros((SHAPE.genes,), tl.float32)
    total = zero_rows(SHAPE.genes, SHAPE)
    for start in range(0, SHAPE.padded, SHAPE.tile):
        features = start + tl.arange(0, SHAPE.tile)
        rounded, rest = load_directions(directions, features, SHAPE)
        sums = load_context(context, pair, features, SHAPE)
        z = project(queries, rounded, rest, features, SHAPE)
        higher = tl.maximum(peak, tl.max(z, 1))
        phi = tl.exp(z - higher[:, None])
        shrink = tl.exp(peak - higher)
        feature_weights = tl.load(weights + pair * SHAPE.padded + features)
        weight = weight * shrink + tl.sum(phi * feature_weights[None, :], 1)
        total = add_weighted(scale_rows(total, shrink), phi.to(sums[0].dtype), sums)
        peak = higher
    half_norm = half_norms(queries, SHAPE)
    height = tl.exp(-half_norm)
    denominator = weight * height + tl.load(floor_weights + pair)
    total = add_rows(scale_rows(total, height), load_one(floor_sums, pair, SHAPE), 1.0)
    total = add_rows(scale_rows(total, 1.0 / denominator), load_one(centre, pair, SHAPE), 1.0)
    store_genes(out, pair, genes, n_genes, total, SHAPE)
    rows = pair.to(tl.int64) * n_genes + genes
    offset = half_norm + peak + tl.log(denominator)
    tl.store(offsets + rows, offset, mask=genes < n_genes)
    tl.store(floors + rows, SHAPE.floor / denominator, mask=genes < n_genes)


@triton.jit
def query_gradient(
    q,
    gradient,
    directions,
    context,
    weights,
    offsets,
    floors,
    dq,
    deltas,
    n_genes,
    SHAPE: tl.constexpr,
):
    """Write dq of a block of queries, and delta = g · (out - centre) [pairs, N].

    g is the gradient of out. With w = exp(z - offset), dz = w (g · S - delta s), and dq = dz P -
    q Σ dz / sqrt(d), the second term from the norm in φ. Delta is Σ (w + floor) (g · S), so it is
    known only after the last feature, and the two halves of dz are summed apart. To take it from
    out would be shorter: but genes attend so much alike that out, once rounded to bfloat16, has
    lost their differences.
    """
    genes = tl.program_id(0) * SHAPE.genes + tl.arange(0, SHAPE.genes)
    pair = tl.program_id(1)
    queries = load_genes(q, pair, genes, n_genes, SHAPE)
    gradients = load_genes(gradient, pair, genes, n_genes, SHAPE)
    rows = pair.to(tl.int64) * n_genes + genes
    offset = tl.load(offsets + rows, mask=genes < n_genes, other=float("inf"))
    raised = tl.zeros((SHAPE.genes,), tl.float32)  # Σ w (g · S)
    lowered = tl.zeros((SHAPE.genes,), tl.float32)  # Σ w s
    floored = tl.zeros((SHAPE.genes,), tl.float32)  # Σ g · S
    raising, lowering = zero_rows(SHAPE.genes, SHAPE), zero_rows(SHAPE.genes, SHAPE)  # times P
    for start in range(0, SHAPE.padded, SHAPE.tile):
        features = start + tl.arange(0, SHAPE.tile)
        rounded, rest = load_directions(directions, features, SHAPE)
        sums = load_context(context, pair, features, SHAPE)
        feature_weights = tl.load(weights + pair * SHAPE.padded + features)
        weight = tl.exp(project(queries, rounded, rest, features, SHAPE) - offset[:, None])
        along = add_products(tl.zeros_like(weight), gradients, sums)
        floored += tl.sum(along, 1)
        along *= weight
        raised += tl.sum(along, 1)
        raising = add_weighted(raising, along.to(queries[0].dtype), rounded)
        weight *= feature_weights[None, :]
        lowered += tl.sum(weight, 1)
        lowering = add_weighted(lowering, weight.to(queries[0].dtype), rounded)
    floor = tl.load(floors + rows, mask=genes < n_genes, other=0.0)
    delta = raised + floor * floored
    tl.store(deltas + rows, delta, mask=genes < n_genes)
    total = add_rows(raising, lowering, -delta[:, None])
    total = add_rows(total, queries, -SHAPE.root * (raised - delta * lowered)[:, None])
    store_genes(dq, pair, genes, n_genes, total, SHAPE)


@triton.jit
def context_gradient(
    q,
    gradient,
    directions,
    offsets,
    floors,
    deltas,
    dsums,
    dweights,
    n_genes,
    SHAPE: tl.constexpr,
):
    """Sum dS = Σ w g and ds = -Σ w delta over the queries of a split, for a tile of features.

    w = exp(z - offset) + floor. Writes `dsums` [pairs, splits, padded, d] and `dweights` [pairs,
    splits, padded].
    """
    features = tl.program_id(0) * SHAPE.tile + tl.arange(0, SHAPE.tile)
    split, pair = tl.program_id(1), tl.program_id(2)
    rounded, rest = load_directions(directions, features, SHAPE)
    dweight = tl.zeros((SHAPE.tile,), tl.float32)
    total = zero_rows(SHAPE.tile, SHAPE)
    first = split * SHAPE.split
    for start in range(first, min(first + SHAPE.split, n_genes), SHAPE.genes):
        genes = start + tl.arange(0, SHAPE.genes)
        rows = pair.to(tl.int64) * n_genes + genes
        # Past the last gene, w is exp(-inf) + 0.
        offset = tl.load(offsets + rows, mask=genes < n_genes, other=float("inf"))
        floor = tl.load(floors + rows, mask=genes < n_genes, other=0.0)
        delta = tl.load(deltas + rows, mask=genes < n_genes, other=0.0)
        queries = load_genes(q, pair, genes, n_genes, SHAPE)
        gradients = load_genes(gradient, pair, genes, n_genes, SHAPE)
        z = project_transposed(queries, rounded, rest, SHAPE)
        weight = (tl.exp(z - offset[None, :]) + floor[None, :]).to(gradients[0].dtype)
        dweight -= tl.sum(weight.to(tl.float32) * delta[None, :], 1)
        total = add_weighted(total, weight, gradients)
    row = (pair.to(tl.int64) * tl.num_programs(1) + split) * SHAPE.padded
    tl.store(dweights + row + features, dweight)
    store_rows(dsums + row * SHAPE.width, features, SHAPE.padded, SHAPE.width, total, SHAPE)


@triton.jit
def key_value_gradient(
    k,
    v,
    directions,
    stabilisers,
    centre,
    dcontext,
    dweights,
    dk,
    dv,
    n_genes,
    SHAPE: tl.constexpr,
):
    """Write dk and dv of a block of keys.

    dv = φ dS. dz = (φ - floor) ((v - centre) · dS + ds), and dk = dz P - k Σ dz / sqrt(d).
    """
    genes = tl.program_id(0) * SHAPE.genes + tl.arange(0, SHAPE.genes)
    pair = tl.program_id(1)
    keys = load_genes(k, pair, genes, n_genes, SHAPE)
    values = load_genes(v, pair, genes, n_genes, SHAPE)
    values = round_rows(add_rows(values, load_one(centre, pair, SHAPE), -1.0), values)
    offset = half_norms(keys, SHAPE) + tl.load(stabilisers + pair)
    sum_of_dz = tl.zeros((SHAPE.genes,), tl.float32)
    total, dvalues = zero_rows(SHAPE.genes, SHAPE), zero_rows(SHAPE.genes, SHAPE)
    for start in range(0, SHAPE.padded, SHAPE.tile):
        features = start + tl.arange(0, SHAPE.tile)
        rounded, rest = load_directions(directions, features, SHAPE)
        dsums = load_context(dcontext, pair, features, SHAPE)
        z = project(keys, rounded, rest, features, SHAPE)
        phi = tl.exp(z - offset[:, None])
        dvalues = add_weighted(dvalues, (phi + SHAPE.floor).to(dsums[0].dtype), dsums)
        dweight = tl.load(dweights + pair * SHAPE.padded + features)
        dphi = tl.zeros((SHAPE.genes, SHAPE.tile), tl.float32) + dweight[None, :]
        dz = (phi * add_products(dphi, values, dsums)).to(keys[0].dtype)
        sum_of_dz += tl.sum(dz.to(tl.float32), 1)
        total = add_weighted(total, dz, rounded)
    total = add_rows(total, keys, -SHAPE.root * sum_of_dz[:, None])
    store_genes(dk, pair, genes, n_genes, total, SHAPE)
    store_genes(dv, pair, genes, n_genes, dvalues, SHAPE)
