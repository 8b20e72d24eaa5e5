"""FlashAttention as vLLM carries it, as one operator that `torch.compile` leaves alone."""

import torch


@torch.library.custom_op("dsocr::flash_attention", mutates_args=())
def flash_attention(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float, causal: bool
) -> torch.Tensor:
    """Attention over sequences of equal length, by FlashAttention 3.

    Args:
        q: (batch, queries, heads, width), bf16 on a Hopper GPU.
        k: (batch, keys, key heads, width); heads are a multiple of key heads.
        v: (batch, keys, key heads, width of v).
        scale: of q·k before the softmax.
        causal: whether the last query sees all keys, the one before it all but the last, and so on.

    Returns:
        (batch, queries, heads, width of v).
    """
    from vllm.vllm_flash_attn import flash_attn_varlen_func

    batch, n, heads, _ = q.shape
    keys = k.shape[1]
    steps = torch.arange(batch + 1, dtype=torch.int32, device=q.device)
    out: torch.Tensor = flash_attn_varlen_func(
        q.flatten(0, 1),
        k.flatten(0, 1),
        v.flatten(0, 1),
        max_seqlen_q=n,
        cu_seqlens_q=steps * n,
        max_seqlen_k=keys,
        cu_seqlens_k=steps * keys,
        softmax_scale=scale,
        causal=causal,
        fa_version=3,
    )
    return out.view(batch, n, heads, v.shape[-1])


@flash_attention.register_fake
def _(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float, causal: bool) -> torch.Tensor:
    return q.new_empty((*q.shape[:-1], v.shape[-1]))
