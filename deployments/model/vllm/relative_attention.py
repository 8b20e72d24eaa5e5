"""SAM's attention with decomposed relative positions, in several exactly equal forms.

A score is `scale * q·k + q·Rh[row(q) - row(k)] + q·Rw[column(q) - column(k)]` (the published
`add_decomposed_rel_pos`, after MViTv2). The forms differ in how the two last terms reach the softmax:

    bias      summed into a matrix that `scaled_dot_product_attention` adds; the plain form
    matmul    the same with the softmax written out in float32
    flex      read by `flex_attention` as it computes each score
    folded    as further dimensions of the heads: q' = [scale*q, q·Rh, q·Rw] and k' = [k, one-hot row,
              one-hot column], so that q'·k' is the score and any fused kernel does
    triton    by our own kernel (`relative_attention_triton`), which takes other arguments

`folded` names the kernel behind it: `folded_flash`, `folded_cudnn`, `folded_efficient` are PyTorch's,
`folded_fa3` is FlashAttention 3 as vLLM carries it (Hopper alone).
"""

from collections.abc import Callable

import torch
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.attention.flex_attention import flex_attention

from deployments.model.vllm.flash_attention import flash_attention

Attend = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""Of q, k, v (batch, n, heads, d), and q's row and column terms (batch, n, heads, side): like v."""


def resize_table(table: torch.Tensor, side: int) -> torch.Tensor:
    """The table of relative positions for a grid of this side: (2 * side - 1, d), interpolated if need be.

    Args:
        table: (2 * trained side - 1, d).
        side: of the grid, in patches.
    """
    length = 2 * side - 1
    if table.shape[0] == length:
        return table
    resized = functional.interpolate(table.float().t()[None], size=length, mode="linear")
    return resized[0].t().to(table.dtype)


def position_terms(
    q: torch.Tensor, table_h: torch.Tensor, table_w: torch.Tensor, side: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """What relative positions add to the scores of q with each row, and with each column.

    Args:
        q: (batch, side * side, heads, d), not scaled.
        table_h: (2 * side - 1, d), by row of q minus row of k, plus side - 1.
        table_w: the same for columns.
        side: of the grid.

    Returns:
        Two tensors (batch, side * side, heads, side).
    """
    batch, n, heads, d = q.shape
    place = torch.arange(side, device=q.device)
    offset = place[:, None] - place[None, :] + side - 1
    grid = q.reshape(batch, side, side, heads, d)
    rows = torch.einsum("bhwnd,hkd->bhwnk", grid, table_h[offset])
    columns = torch.einsum("bhwnd,wkd->bhwnk", grid, table_w[offset])
    return rows.reshape(batch, n, heads, side), columns.reshape(batch, n, heads, side)


def _bias(rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    # (batch, n, heads, side) each -> (batch, heads, n, side * side): key n lies in row n // side.
    both = rows[..., :, None] + columns[..., None, :]
    return both.flatten(-2).transpose(1, 2)


def attend_bias(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor
) -> torch.Tensor:
    """The plain form: materialises batch * heads * n * n numbers."""
    mask = _bias(rows, columns)
    out = functional.scaled_dot_product_attention(
        q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), attn_mask=mask
    )
    return out.transpose(1, 2)


def attend_matmul(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor
) -> torch.Tensor:
    """The plain form with the softmax written out."""
    scores = (q.transpose(1, 2) * q.shape[-1] ** -0.5) @ k.permute(0, 2, 3, 1)
    weights = (scores + _bias(rows, columns)).float().softmax(-1).to(v.dtype)
    return (weights @ v.transpose(1, 2)).transpose(1, 2)


def attend_flex(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor
) -> torch.Tensor:
    """Scores patched one by one inside a generated kernel; slow where not compiled."""
    side = rows.shape[-1]

    def add_position(
        score: torch.Tensor, batch: torch.Tensor, head: torch.Tensor, query: torch.Tensor, key: torch.Tensor
    ) -> torch.Tensor:
        return score + rows[batch, query, head, key // side] + columns[batch, query, head, key % side]

    out = flex_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), score_mod=add_position)
    assert isinstance(out, torch.Tensor)  # noqa: S101 - it returns a tuple only where asked for more
    return out.transpose(1, 2)


def fold(
    q: torch.Tensor, k: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Wider q and k whose product is the score: d + 2 * side numbers, rounded up to a multiple of 16."""
    batch, n, heads, d = q.shape
    side = rows.shape[-1]
    rest = -(d + 2 * side) % 16
    place = torch.arange(n, device=q.device)
    lines = torch.arange(side, device=q.device)
    row, column = (place // side)[:, None] == lines, (place % side)[:, None] == lines
    one_hot = functional.pad(torch.cat([row, column], dim=-1).to(k.dtype), (0, rest))
    wide_k = torch.cat([k, one_hot[None, :, None, :].expand(batch, n, heads, -1)], dim=-1)
    zeros = q.new_zeros(1).expand(batch, n, heads, rest)
    wide_q = torch.cat([q * d**-0.5, rows, columns, zeros], dim=-1)
    return wide_q, wide_k


def attend_folded(backend: SDPBackend, v_width: int | None) -> Attend:
    """The folded form on one of PyTorch's kernels.

    Args:
        backend: which one.
        v_width: None where the kernel takes a v narrower than q and k, else 0: v is padded to their width.
    """

    def attend(
        q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor
    ) -> torch.Tensor:
        wide_q, wide_k = fold(q, k, rows, columns)
        wide_v = v if v_width is None else functional.pad(v, (0, wide_q.shape[-1] - v.shape[-1]))
        with sdpa_kernel(backend):
            out = functional.scaled_dot_product_attention(
                wide_q.transpose(1, 2), wide_k.transpose(1, 2), wide_v.transpose(1, 2), scale=1.0
            )
        return out.transpose(1, 2)[..., : v.shape[-1]]

    return attend


def attend_folded_fa3(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor
) -> torch.Tensor:
    """The folded form on FlashAttention 3, which takes v 128 wide where q and k are 129 to 192 wide."""
    wide_q, wide_k = fold(q, k, rows, columns)
    width = wide_q.shape[-1]
    wide_v = functional.pad(v, (0, (128 if 128 < width <= 192 else width) - v.shape[-1]))
    return flash_attention(wide_q, wide_k, wide_v, 1.0, False)[..., : v.shape[-1]]


ATTEND: dict[str, Attend] = {
    "bias": attend_bias,
    "matmul": attend_matmul,
    "flex": attend_flex,
    "folded_flash": attend_folded(SDPBackend.FLASH_ATTENTION, 0),
    "folded_cudnn": attend_folded(SDPBackend.CUDNN_ATTENTION, None),
    "folded_efficient": attend_folded(SDPBackend.EFFICIENT_ATTENTION, None),
    "folded_math": attend_folded(SDPBackend.MATH, None),
    "folded_fa3": attend_folded_fa3,
}
