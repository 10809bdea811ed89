"""What the kernels of `attention_triton` are made of: rows of a matrix, and their products.

`tl.dot` wants widths that are powers of two. Rows [n, d] are therefore a tuple of one or two pieces
of columns: 80 = 64 + 16, where padding to 128 would make every product 1.6 times as long.

Precision. z = P t stands in an exponential, where bfloat16 would keep 8 bits of it: at |z| = 20 an
error of 0.04, so of 4% of φ. Tokens in bfloat16 are exact as they come; so P, which is float32, is
split into two bfloat16 numbers (16 bits together) whose products with tokens are exact and summed
in float32. Stabilisers, exponentials, norms and denominators are float32 throughout. Only finished
φ, contexts and gradients, which enter sums linearly, are rounded to bfloat16 for their product.
"""

import triton
import triton.language as tl


@triton.jit
def load_rows(matrix, rows, n_rows, stride, SHAPE: tl.constexpr):
    """Load the first d columns of some rows of a matrix [n_rows, stride]; zeros past its end."""
    inside = (rows < n_rows)[:, None]
    start = matrix + rows[:, None] * stride
    first = tl.load(start + tl.arange(0, SHAPE.widths[0])[None, :], mask=inside, other=0.0)
    if len(SHAPE.widths) == 1:
        return (first,)
    else:
        columns = SHAPE.widths[0] + tl.arange(0, SHAPE.widths[1])
        return (first, tl.load(start + columns[None, :], mask=inside, other=0.0))


@triton.jit
def store_rows(matrix, rows, n_rows, stride, values, SHAPE: tl.constexpr):
    """Store rows where `load_rows` would load them, in the type of the matrix."""
    inside = (rows < n_rows)[:, None]
    start = matrix + rows[:, None] * stride
    first = values[0].to(matrix.dtype.element_ty)
    tl.store(start + tl.arange(0, SHAPE.widths[0])[None, :], first, mask=inside)
    if len(SHAPE.widths) == 2:
        columns = SHAPE.widths[0] + tl.arange(0, SHAPE.widths[1])
        second = values[1].to(matrix.dtype.element_ty)
        tl.store(start + columns[None, :], second, mask=inside)


@triton.jit
def of_head(tensor, pair, n_genes, SHAPE: tl.constexpr):
    """Point to the columns of one head of one sample in a tensor [B, N, heads * d]."""
    sample, head = pair // SHAPE.heads, pair % SHAPE.heads
    return tensor + (sample.to(tl.int64) * n_genes * SHAPE.heads + head) * SHAPE.width


@triton.jit
def load_genes(tensor, pair, genes, n_genes, SHAPE: tl.constexpr):
    """Load the rows of some genes, in one head of one sample."""
    head = of_head(tensor, pair, n_genes, SHAPE)
    return load_rows(head, genes, n_genes, SHAPE.heads * SHAPE.width, SHAPE)


@triton.jit
def store_genes(tensor, pair, genes, n_genes, values, SHAPE: tl.constexpr):
    """Store rows where `load_genes` would load them."""
    head = of_head(tensor, pair, n_genes, SHAPE)
    store_rows(head, genes, n_genes, SHAPE.heads * SHAPE.width, values, SHAPE)


@triton.jit
def load_context(context, pair, features, SHAPE: tl.constexpr):
    """Load the rows of some features of a context [pairs, padded, d]."""
    context += pair.to(tl.int64) * SHAPE.padded * SHAPE.width
    return load_rows(context, features, SHAPE.padded, SHAPE.width, SHAPE)


@triton.jit
def load_one(matrix, row, SHAPE: tl.constexpr):
    """Load one row of a matrix [., d], as rows of which there is one."""
    return load_rows(matrix + row * SHAPE.width, tl.arange(0, 1), 1, SHAPE.width, SHAPE)


@triton.jit
def zero_rows(N: tl.constexpr, SHAPE: tl.constexpr):
    """Return float32 zeros [N, d], to sum into."""
    first = tl.zeros((N, SHAPE.widths[0]), tl.float32)
    if len(SHAPE.widths) == 1:
        return (first,)
    else:
        return (first, tl.zeros((N, SHAPE.widths[1]), tl.float32))


@triton.jit
def add_rows(a, b, factor):
    """Return a + factor b in float32; b may be one row, the factor a number or a column [n, 1]."""
    first = a[0].to(tl.float32) + factor * b[0].to(tl.float32)
    if len(a) == 1:
        return (first,)
    else:
        return (first, a[1].to(tl.float32) + factor * b[1].to(tl.float32))


@triton.jit
def scale_rows(rows, factor):
    """Return rows [n, d] times a factor [n]."""
    if len(rows) == 1:
        return (rows[0] * factor[:, None],)
    else:
        return (rows[0] * factor[:, None], rows[1] * factor[:, None])


@triton.jit
def round_rows(rows, like):
    """Return rows in the type of others."""
    if len(rows) == 1:
        return (rows[0].to(like[0].dtype),)
    else:
        return (rows[0].to(like[0].dtype), rows[1].to(like[0].dtype))


@triton.jit
def inner(a, b):
    """Return the inner product of each row of a with the same row of b, in float32 [n]."""
    total = tl.sum(a[0].to(tl.float32) * b[0].to(tl.float32), 1)
    if len(a) == 2:
        total += tl.sum(a[1].to(tl.float32) * b[1].to(tl.float32), 1)
    return total


@triton.jit
def half_norms(tokens, SHAPE: tl.constexpr):
    """Return h = |t|² / (2 sqrt(d)) [n] of tokens [n, d]."""
    return inner(tokens, tokens) * (0.5 * SHAPE.root)


@triton.jit
def add_products(total, a, b):
    """Return total [n, m] + a b^T: the products of all rows of a [n, d] with all of b [m, d]."""
    total = tl.dot(a[0], tl.trans(b[0]), total, input_precision="ieee")
    if len(a) == 2:
        total = tl.dot(a[1], tl.trans(b[1]), total, input_precision="ieee")
    return total


@triton.jit
def add_weighted(total, weights, rows):
    """Return total [n, d] + weights [n, m] times rows [m, d]."""
    first = tl.dot(weights, rows[0], total[0], input_precision="ieee")
    if len(rows) == 1:
        return (first,)
    else:
        return (first, tl.dot(weights, rows[1], total[1], input_precision="ieee"))


@triton.jit
def load_directions(directions, features, SHAPE: tl.constexpr):
    """Load P of some features, rounded to the type of the tokens, and what the rounding left."""
    rounded = load_rows(directions, features, SHAPE.padded, SHAPE.width, SHAPE)
    if directions.dtype.element_ty == tl.float32:
        return rounded, rounded  # nothing is left; `project` does not ask
    else:
        rest = directions + SHAPE.padded * SHAPE.width
        return rounded, load_rows(rest, features, SHAPE.padded, SHAPE.width, SHAPE)


@triton.jit
def project(tokens, rounded, rest, features, SHAPE: tl.constexpr):
    """Return z = t P^T [n, m], with -inf for features that only fill the last tile."""
    z = tl.zeros((tokens[0].shape[0], SHAPE.tile), tl.float32)
    if tokens[0].dtype != tl.float32:
        z = add_products(z, tokens, rest)
    z = add_products(z, tokens, rounded)
    if SHAPE.features != SHAPE.padded:
        z = tl.where((features < SHAPE.features)[None, :], z, float("-inf"))
    return z


@triton.jit
def project_transposed(tokens, rounded, rest, SHAPE: tl.constexpr):
    """Return z^T [m, n]: one row a feature, so that what it sums over genes stays in its row."""
    z = tl.zeros((SHAPE.tile, tokens[0].shape[0]), tl.float32)
    if tokens[0].dtype != tl.float32:
        z = add_products(z, rest, tokens)
    return add_products(z, rounded, tokens)
