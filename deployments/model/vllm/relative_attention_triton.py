"""SAM's relative-position attention as two Triton kernels that never write the bias to memory.

Both read q, k and v where the qkv projection left them, and the position terms from one matrix
product (`position_products`): for each query its dot products with every row of both tables. A query
in row r then finds the term of key row s at `r - s + side - 1`, so that nothing is gathered before.

`global_attention` takes 64 keys a step: on a grid 64 wide a row of them, on one 48 wide a block of 4
rows and 16 columns. It goes down the grid, then to the next columns, so that the column terms stay in
registers all the way down and each step needs one row term, or four, per query.

`window_attention` works on the unpartitioned grid: a window's tokens outside the grid have the
projection's bias for key and value, as the reference's zero padding gives them, and their queries are
never computed. The position terms enter through a second small product with one-hot rows and columns.
"""

import torch
import triton
import triton.language as tl
from torch.nn import functional

LOG2_E = 1.4426950408889634
"""Softmax runs on powers of two."""

TABLE = 128
"""Width of one table's products: 2 * 64 - 1 rounded up."""

WINDOW_TABLE = 32
"""The same for windows: 2 * 14 - 1 rounded up."""

GRID_MULTIPLE = 16
"""`global_attention` takes grids whose side is a multiple of it: 64 for the global view, 48 for a tile."""

MAX_WINDOW = 16
"""Largest window side that `window_attention` takes."""


def position_products(
    q: torch.Tensor, table_h: torch.Tensor, table_w: torch.Tensor, width: int
) -> torch.Tensor:
    """Dot products of each query with each relative position, times log2(e).

    Args:
        q: (batch, n, heads, d), not scaled; any strides but the last.
        table_h: (2 * side - 1, d).
        table_w: the same for columns.
        width: to which each table is padded.

    Returns:
        (heads, batch * n, 2 * width): rows first, then columns.
    """
    batch, n, heads, d = q.shape
    rest = width - table_h.shape[0]
    both = torch.cat([functional.pad(table_h, (0, 0, 0, rest)), functional.pad(table_w, (0, 0, 0, rest))])
    both = (both.float() * LOG2_E).to(q.dtype)
    return torch.bmm(q.reshape(batch * n, heads, d).transpose(0, 1), both.t().expand(heads, d, 2 * width))


@triton.jit
def _global_kernel(
    qkv, products, out, n_tokens, heads, scale,
    side: tl.constexpr, table: tl.constexpr, d: tl.constexpr,
    queries: tl.constexpr, lines: tl.constexpr, columns: tl.constexpr, precision: tl.constexpr,
):  # fmt: skip
    batch = tl.program_id(1) // heads
    head = tl.program_id(1) % heads
    m = tl.program_id(0) * queries + tl.arange(0, queries)
    c = tl.arange(0, d)
    n = tl.arange(0, lines * columns)
    stride = 3 * heads * d
    first_token = batch.to(tl.int64) * n_tokens
    base = qkv + first_token * stride + head * d
    q = tl.load(base + m[:, None] * stride + c[None, :])
    tokens = tl.num_programs(1) // heads * n_tokens
    own = products + (head.to(tl.int64) * tokens + first_token + m) * (2 * table)
    row_terms = own + m // side + side - 1
    column_terms = own + table + m % side + side - 1
    top = tl.full([queries], float("-inf"), tl.float32)
    total = tl.zeros([queries], tl.float32)
    acc = tl.zeros([queries, d], tl.float32)
    # Keys of a step: `lines` rows of `columns` tokens.
    place = (n // columns) * side + n % columns
    for left in range(0, side, columns):
        across = tl.load(column_terms[:, None] - (left + n % columns)[None, :])
        for row in range(0, side, lines):
            kv = base + heads * d + (row * side + left) * stride
            k = tl.load(kv + place[None, :] * stride + c[:, None])
            score = tl.dot(q, k, input_precision=precision) * scale + across
            down = tl.load(row_terms - row).to(tl.float32)
            if lines == 1:
                # One row, one number per query: no need to touch every score.
                new_top = tl.maximum(top, tl.max(score, 1) + down)
                p = tl.exp2(score - (new_top - down)[:, None])
            else:
                line = (n // columns)[None, :]
                rows = tl.where(
                    line == 0, down[:, None], tl.load(row_terms - row - 1).to(tl.float32)[:, None]
                )
                rows = tl.where(line == 2, tl.load(row_terms - row - 2).to(tl.float32)[:, None], rows)
                rows = tl.where(line == 3, tl.load(row_terms - row - 3).to(tl.float32)[:, None], rows)
                score += rows
                new_top = tl.maximum(top, tl.max(score, 1))
                p = tl.exp2(score - new_top[:, None])
            shrink = tl.exp2(top - new_top)
            total = total * shrink + tl.sum(p, 1)
            v = tl.load(kv + heads * d + place[:, None] * stride + c[None, :])
            acc = tl.dot(p.to(v.dtype), v, acc * shrink[:, None], input_precision=precision)
            top = new_top
    result = acc / total[:, None]
    to = out + (first_token + m[:, None]) * (heads * d) + head * d + c[None, :]
    tl.store(to, result.to(out.dtype.element_ty))


@triton.jit
def _window_kernel(  # noqa: PLR0915 - a kernel is one function, its arguments positional
    qkv, bias, products, out, side, heads, windows, scale,
    window: tl.constexpr, half: tl.constexpr, table: tl.constexpr, d: tl.constexpr,
    queries: tl.constexpr, keys: tl.constexpr, precision: tl.constexpr,
):  # fmt: skip
    head = tl.program_id(1)
    batch = tl.program_id(2) // (windows * windows)
    top_row = tl.program_id(2) // windows % windows * window
    left = tl.program_id(2) % windows * window
    if top_row + tl.program_id(0) * queries // window >= side:
        return
    stride = 3 * heads * d
    n_tokens = side * side
    first_token = batch.to(tl.int64) * n_tokens
    c = tl.arange(0, d)
    m = tl.program_id(0) * queries + tl.arange(0, queries)
    m_row = m // window
    m_column = m % window
    here = (m < window * window) & (top_row + m_row < side) & (left + m_column < side)
    m_token = (top_row + m_row) * side + left + m_column
    base = qkv + first_token * stride + head * d
    q = tl.load(base + m_token[:, None] * stride + c[None, :], mask=here[:, None], other=0.0)
    # Of both tables the terms of each key row and each key column: (queries, 2 * half).
    e = tl.arange(0, 2 * half)
    line = e % half
    is_row = e < half
    tokens = tl.num_programs(2) // (windows * windows) * n_tokens
    own = products + (head.to(tl.int64) * tokens + first_token + m_token) * (2 * table)
    at = tl.where(is_row[None, :], m_row[:, None], table + m_column[:, None]) - line[None, :] + window - 1
    terms = tl.load(own[:, None] + at, mask=here[:, None] & (line < window)[None, :], other=0.0)
    top = tl.full([queries], float("-inf"), tl.float32)
    total = tl.zeros([queries], tl.float32)
    acc = tl.zeros([queries, d], tl.float32)
    bias_k = tl.load(bias + heads * d + head * d + c)
    bias_v = tl.load(bias + 2 * heads * d + head * d + c)
    for start in range(0, window * window, keys):
        n = start + tl.arange(0, keys)
        n_row = n // window
        n_column = n % window
        known = n < window * window
        inside = known & (top_row + n_row < side) & (left + n_column < side)
        n_token = (top_row + n_row) * side + left + n_column
        kv = base + heads * d + n_token[:, None] * stride + c[None, :]
        k = tl.load(kv, mask=inside[:, None], other=0.0)
        k = tl.where(inside[:, None], k, bias_k[None, :])
        one_hot = tl.where(is_row[:, None], n_row[None, :], n_column[None, :]) == line[:, None]
        score = tl.dot(q, tl.trans(k), input_precision=precision) * scale
        score = tl.dot(terms, one_hot.to(terms.dtype), score, input_precision=precision)
        score = tl.where(known[None, :], score, float("-inf"))
        new_top = tl.maximum(top, tl.max(score, 1))
        p = tl.exp2(score - new_top[:, None])
        shrink = tl.exp2(top - new_top)
        total = total * shrink + tl.sum(p, 1)
        v = tl.load(kv + heads * d, mask=inside[:, None], other=0.0)
        v = tl.where(inside[:, None], v, bias_v[None, :])
        acc = tl.dot(p.to(v.dtype), v, acc * shrink[:, None], input_precision=precision)
        top = new_top
    place = out + (first_token + m_token[:, None]) * (heads * d) + head * d + c[None, :]
    tl.store(place, (acc / total[:, None]).to(out.dtype.element_ty), mask=here[:, None])


def _precision(dtype: torch.dtype) -> str:
    # float32 serves as a reference: keep it exact instead of Triton's default of tf32.
    return "ieee" if dtype == torch.float32 else "tf32"


@torch.library.custom_op("dsocr::sam_global_attention", mutates_args=())
def global_attention(
    qkv: torch.Tensor, products: torch.Tensor, side: int, queries: int = 64, warps: int = 4, stages: int = 3
) -> torch.Tensor:
    """Attention of every token of a view to every other.

    Args:
        qkv: (batch, side * side, 3, heads, d), contiguous; d a power of two, at least 16.
        products: of `position_products`, `TABLE` wide.
        side: of the grid, a multiple of `GRID_MULTIPLE`, at most `TABLE` / 2.
        queries: per program; this and the next two are the fastest of those tried on an H200.
        warps: per program.
        stages: of the pipeline that loads keys and values.

    Returns:
        (batch, side * side, heads * d).
    """
    batch, n, _, heads, d = qkv.shape
    out = torch.empty((batch, n, heads * d), dtype=qkv.dtype, device=qkv.device)
    lines = 1 if side % 64 == 0 else 4
    _global_kernel[(n // queries, batch * heads)](
        qkv, products, out, n, heads, d**-0.5 * LOG2_E,
        side=side, table=TABLE, d=d, queries=queries, lines=lines, columns=64 // lines,
        precision=_precision(qkv.dtype),
        num_warps=warps, num_stages=stages,
    )  # fmt: skip
    return out


@global_attention.register_fake
def _(
    qkv: torch.Tensor, products: torch.Tensor, side: int, queries: int = 64, warps: int = 4, stages: int = 3
) -> torch.Tensor:
    batch, n, _, heads, d = qkv.shape
    return qkv.new_empty((batch, n, heads * d))


@torch.library.custom_op("dsocr::sam_window_attention", mutates_args=())
def window_attention(
    qkv: torch.Tensor,
    bias: torch.Tensor,
    products: torch.Tensor,
    side: int,
    window: int,
    queries: int = 128,
    keys: int = 64,
    warps: int = 4,
    stages: int = 2,
) -> torch.Tensor:
    """Attention within windows, over a grid that was not cut into them.

    Args:
        qkv: (batch, side * side, 3, heads, d), contiguous; d a power of two, at least 16.
        bias: (3 * heads * d,), of the qkv projection: what the reference's padding becomes.
        products: of `position_products`, `WINDOW_TABLE` wide.
        side: of the grid.
        window: side of a window, at most `MAX_WINDOW`.
        queries: per program.
        keys: per step.
        warps: per program.
        stages: of the pipeline that loads keys and values.

    Returns:
        (batch, side * side, heads * d).
    """
    batch, n, _, heads, d = qkv.shape
    out = torch.empty((batch, n, heads * d), dtype=qkv.dtype, device=qkv.device)
    windows = -(-side // window)
    _window_kernel[(-(-window * window // queries), heads, batch * windows * windows)](
        qkv, bias, products, out, side, heads, windows, d**-0.5 * LOG2_E,
        window=window, half=MAX_WINDOW, table=WINDOW_TABLE, d=d, queries=queries, keys=keys,
        precision=_precision(qkv.dtype), num_warps=warps, num_stages=stages,
    )  # fmt: skip
    return out


@window_attention.register_fake
def _(
    qkv: torch.Tensor,
    bias: torch.Tensor,
    products: torch.Tensor,
    side: int,
    window: int,
    queries: int = 128,
    keys: int = 64,
    warps: int = 4,
    stages: int = 2,
) -> torch.Tensor:
    batch, n, _, heads, d = qkv.shape
    return qkv.new_empty((batch, n, heads * d))
