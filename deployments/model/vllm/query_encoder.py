"""The tower's second half: Qwen2 layers in which learned queries gather what the image tokens say.

Image tokens attend to one another; a query attends to all image tokens and to the queries up to
itself. That is two attentions without any mask but the causal one: the image tokens' among
themselves, and the queries' over everything with the causal triangle at the lower right.

The checkpoint's names are `model.qwen2_model.…`; `q_proj`, `k_proj`, `v_proj` and `gate_proj`,
`up_proj` are one matrix each here, which `weights` fills part by part.
"""

import torch
from torch import nn
from torch.nn import functional

from deployments.model.vllm.compiling import vary_batch
from deployments.model.vllm.flash_attention import flash_attention
from deployments.model.vllm.linear import Linear
from deployments.model.vllm.vision_config import QueryEncoderConfig


def _masked(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, images: int) -> torch.Tensor:
    n, keys = q.shape[1], k.shape[1]
    place = torch.arange(keys, device=q.device)
    mask = (place < images)[None, :] | (place[None, :] <= place[keys - n :, None])
    mask &= (place < images)[None, :] | (place[keys - n :] >= images)[:, None]
    out = functional.scaled_dot_product_attention(
        q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), attn_mask=mask, enable_gqa=True
    )
    return out.transpose(1, 2)


def _two(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, images: int) -> torch.Tensor:
    queries = k.shape[1] - images
    causal = _flash(q[:, -queries:], k, v, True)
    if q.shape[1] == queries:
        return causal
    return torch.cat([_flash(q[:, :images], k[:, :images], v[:, :images], False), causal], dim=1)


def _flash(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, causal: bool) -> torch.Tensor:
    out = torch.ops.aten._scaled_dot_product_flash_attention(
        q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), 0.0, causal
    )[0]
    return out.transpose(1, 2)


def _two_fa3(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, images: int) -> torch.Tensor:
    queries, scale = k.shape[1] - images, q.shape[-1] ** -0.5
    causal = flash_attention(q[:, -queries:].contiguous(), k, v, scale, True)
    if q.shape[1] == queries:
        return causal
    parts = [t[:, :images].contiguous() for t in (q, k, v)]
    return torch.cat([flash_attention(*parts, scale, False), causal], dim=1)


ATTEND = {"masked": _masked, "flash": _two, "fa3": _two_fa3}
"""Forms of the attention: by a mask, or as two calls on PyTorch's or vLLM's FlashAttention.

Each takes q (batch, n, heads, d), of all tokens or of the queries alone, k and v (batch, images +
queries, key heads, d), and the number of image tokens, and returns q's shape.
"""


class RMSNorm(nn.Module):
    """Root-mean-square norm, in float32."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise the last dimension."""
        wide = x.float()
        wide = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.eps)
        return self.weight * wide.to(x.dtype)


def rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotary positions on (batch, n, heads, d), with cos and sin (n, 1, d): halves are pairs."""
    left, right = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-right, left], dim=-1) * sin


class Attention(nn.Module):
    """Grouped-query attention, image tokens first.

    Attributes:
        kind: a key of `ATTEND`.
    """

    def __init__(self, config: QueryEncoderConfig) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.head_dim = (
            config.num_attention_heads,
            config.num_key_value_heads,
            config.head_dim,
        )
        self.kind = "masked"
        self.qkv_proj = Linear(config.hidden_size, (self.heads + 2 * self.kv_heads) * self.head_dim)
        self.o_proj = Linear(self.heads * self.head_dim, config.hidden_size, bias=False)

    def forward(
        self, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, images: int, queries_only: bool
    ) -> torch.Tensor:
        """Map (batch, n, hidden) onto the same shape, or onto the queries' part of it."""
        qkv = self.qkv_proj(x).unflatten(-1, (-1, self.head_dim))
        q, k, v = qkv.split([self.heads, self.kv_heads, self.kv_heads], dim=2)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        if queries_only:
            q = q[:, images:]
        return self.o_proj(ATTEND[self.kind](q, k, v, images).flatten(2))


class Mlp(nn.Module):
    """SwiGLU."""

    def __init__(self, config: QueryEncoderConfig) -> None:
        super().__init__()
        self.gate_up_proj = Linear(config.hidden_size, 2 * config.intermediate_size, bias=False)
        self.down_proj = Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (…, hidden) onto the same shape."""
        gate, up = self.gate_up_proj(x).chunk(2, dim=-1)
        return self.down_proj(functional.silu(gate) * up)


class Layer(nn.Module):
    """A Qwen2 layer; with `queries_only` the image tokens end here."""

    def __init__(self, config: QueryEncoderConfig) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.self_attn = Attention(config)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.mlp = Mlp(config)

    def forward(
        self, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, images: int, queries_only: bool
    ) -> torch.Tensor:
        """Map (batch, n, hidden) onto the same shape, or onto the queries' part of it."""
        attended = self.self_attn(self.input_layernorm(x), cos, sin, images, queries_only)
        x = (x[:, images:] if queries_only else x) + attended
        return x + self.mlp(self.post_attention_layernorm(x))


class QueryEncoder(nn.Module):
    """Image tokens in, as many query tokens out.

    Args:
        config: dimensions.
        view_tokens: of the global view (256), for which `query_1024` holds the queries.
        tile_tokens: of a tile (144), for which `query_768` does.
    """

    def __init__(self, config: QueryEncoderConfig, view_tokens: int, tile_tokens: int) -> None:
        super().__init__()
        self.config = config
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.query_768 = nn.Embedding(tile_tokens, config.hidden_size)
        self.query_1024 = nn.Embedding(view_tokens, config.hidden_size)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map (batch, tokens, hidden) onto the same shape."""
        count = images.shape[1]
        table = self.query_1024 if count == self.query_1024.num_embeddings else self.query_768
        x = torch.cat([images, table.weight.expand(images.shape[0], -1, -1)], dim=1)
        cos, sin = self.rotary(x.shape[1], x)
        for layer in self.layers[:-1]:
            x = layer(vary_batch(x), cos, sin, count, False)
        x = self.layers[-1](vary_batch(x), cos, sin, count, True)
        return self.norm(vary_batch(x))

    def rotary(self, n: int, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Cosines and sines of positions 0 to n - 1: (n, 1, d) each, computed in float32."""
        d = self.config.head_dim
        exponent = torch.arange(0, d, 2, dtype=torch.float32, device=like.device) / d
        angle = (
            torch.arange(n, dtype=torch.float32, device=like.device)[:, None]
            / self.config.rope_theta**exponent
        )
        angle = torch.cat([angle, angle], dim=-1)[:, None]
        return angle.cos().to(like.dtype), angle.sin().to(like.dtype)
