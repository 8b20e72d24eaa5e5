"""The tower's first half: SAM's ViT-B with relative positions, and a neck that halves the grid twice.

Module names are those of the checkpoint below `model.sam_model.`. Activations stay (batch, rows,
columns, channels) throughout, so that neither convolutions nor LayerNorms copy them.
"""

import torch
from torch import nn
from torch.nn import functional

from deployments.model.vllm.compiling import vary_batch
from deployments.model.vllm.linear import Linear
from deployments.model.vllm.relative_attention import ATTEND, position_terms, resize_table
from deployments.model.vllm.vision_config import SamConfig


class PatchEmbed(nn.Module):
    """One linear map for each patch, straight from bytes.

    The reference maps x/127.5 - 1 by a convolution W. Here (2x - 255), exact in bf16, is mapped by
    W/255: the same sums, one rounding fewer.
    """

    def __init__(self, config: SamConfig) -> None:
        super().__init__()
        self.patch_size = config.patch_size
        self.proj = nn.Conv2d(3, config.hidden_size, config.patch_size, stride=config.patch_size)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Map uint8 (batch, side, side, 3) onto (batch, grid, grid, hidden)."""
        size, weight = self.patch_size, self.proj.weight
        grid = pixels.shape[1] // size
        patches = pixels.reshape(-1, grid, size, grid, size, 3).permute(0, 1, 3, 2, 4, 5)
        patches = patches.to(weight.dtype) * 2 - 255
        kernel = (weight.permute(0, 2, 3, 1).float() / 255).to(weight.dtype)
        return functional.linear(
            patches.reshape(-1, grid, grid, 3 * size * size), kernel.flatten(1), self.proj.bias
        )


class Attention(nn.Module):
    """Multi-head attention with relative positions, over windows or the whole grid.

    Attributes:
        kind: the form of attention, `triton` or a key of `relative_attention.ATTEND`.
    """

    def __init__(self, config: SamConfig, window: int, trained_grid: int) -> None:
        super().__init__()
        self.heads, self.head_dim, self.window = config.num_attention_heads, config.head_dim, window
        self.kind = "bias"
        trained = window or trained_grid
        self.qkv = Linear(config.hidden_size, 3 * config.hidden_size)
        self.proj = Linear(config.hidden_size, config.hidden_size)
        self.rel_pos_h = nn.Parameter(torch.zeros(2 * trained - 1, self.head_dim))
        self.rel_pos_w = nn.Parameter(torch.zeros(2 * trained - 1, self.head_dim))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (batch, side, side, hidden) onto the same shape."""
        if self.kind == "triton":
            out = self._fused(x)
        elif self.window:
            out = self._windows(x)
        else:
            out = self._core(self.qkv(x))
        return self.proj(out)

    def _core(self, qkv: torch.Tensor) -> torch.Tensor:
        batch, side = qkv.shape[:2]
        q, k, v = qkv.reshape(batch, side * side, 3, self.heads, self.head_dim).unbind(2)
        table_h, table_w = resize_table(self.rel_pos_h, side), resize_table(self.rel_pos_w, side)
        rows, columns = position_terms(q, table_h, table_w, side)
        return ATTEND[self.kind](q, k, v, rows, columns).reshape(batch, side, side, -1)

    def _windows(self, x: torch.Tensor) -> torch.Tensor:
        # The reference pads with zeros before the projection, which makes padded tokens the bias. Padding
        # after it computes nothing for them.
        batch, side = x.shape[:2]
        window, bias = self.window, self.qkv.bias
        count = -(-side // window)
        rest = count * window - side
        qkv = functional.pad(self.qkv(x) - bias, (0, 0, 0, rest, 0, rest)) + bias
        cut = qkv.reshape(batch, count, window, count, window, -1).transpose(2, 3)
        out = self._core(cut.reshape(batch * count * count, window, window, -1))
        out = out.reshape(batch, count, count, window, window, -1).transpose(2, 3)
        return out.reshape(batch, count * window, count * window, -1)[:, :side, :side]

    def _fused(self, x: torch.Tensor) -> torch.Tensor:
        # Imported here: Triton compiles for GPUs alone and is not everywhere.
        from deployments.model.vllm import relative_attention_triton as fused

        batch, side = x.shape[:2]
        qkv = self.qkv(x).reshape(batch, side * side, 3, self.heads, self.head_dim)
        q = qkv[:, :, 0]
        if self.window:
            products = fused.position_products(q, self.rel_pos_h, self.rel_pos_w, fused.WINDOW_TABLE)
            out = fused.window_attention(qkv, self.qkv.bias, products, side, self.window)
        else:
            table_h, table_w = resize_table(self.rel_pos_h, side), resize_table(self.rel_pos_w, side)
            products = fused.position_products(q, table_h, table_w, fused.TABLE)
            out = fused.global_attention(qkv, products, side)
        return out.reshape(batch, side, side, -1)


class Mlp(nn.Module):
    """Two linear maps around the exact (erf) GELU."""

    def __init__(self, config: SamConfig) -> None:
        super().__init__()
        self.lin1 = Linear(config.hidden_size, config.mlp_dim)
        self.lin2 = Linear(config.mlp_dim, config.hidden_size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (…, hidden) onto the same shape."""
        return self.lin2(functional.gelu(self.lin1(x)))


class Block(nn.Module):
    """A transformer block."""

    def __init__(self, config: SamConfig, window: int, trained_grid: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.attn = Attention(config, window, trained_grid)
        self.norm2 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.mlp = Mlp(config)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (batch, side, side, hidden) onto the same shape."""
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Neck(nn.Sequential):
    """A 1x1 convolution, LayerNorm, a 3x3 convolution, LayerNorm; the norms are over channels."""

    def __init__(self, config: SamConfig) -> None:
        channels, eps = config.output_channels, config.layer_norm_eps
        super().__init__(
            nn.Conv2d(config.hidden_size, channels, 1, bias=False),
            nn.LayerNorm(channels, eps=eps),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.LayerNorm(channels, eps=eps),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (batch, side, side, hidden) onto (batch, side, side, channels)."""
        x = self[1](functional.linear(x, self[0].weight.flatten(1)))
        x = self[2](x.permute(0, 3, 1, 2))
        return self[3](x.permute(0, 2, 3, 1))


class SamEncoder(nn.Module):
    """The whole of it: bytes of a view to an even grid of a quarter of its patches' rows and columns.

    Args:
        config: dimensions.
        trained_side: side of the views whose grid the position tables were trained for, in pixels.
    """

    def __init__(self, config: SamConfig, trained_side: int) -> None:
        super().__init__()
        grid = trained_side // config.patch_size
        self.patch_embed = PatchEmbed(config)
        self.pos_embed = nn.Parameter(torch.zeros(1, grid, grid, config.hidden_size))
        self.blocks = nn.ModuleList(
            Block(config, 0 if i in config.global_attn_indexes else config.window_size, grid)
            for i in range(config.num_hidden_layers)
        )
        self.neck = Neck(config)
        first, second = config.downsample_channels
        self.net_2 = nn.Conv2d(config.output_channels, first, 3, stride=2, padding=1, bias=False)
        self.net_3 = nn.Conv2d(first, second, 3, stride=2, padding=1, bias=False)
        for conv in (self.neck, self.net_2, self.net_3):
            conv.to(memory_format=torch.channels_last)

    def embed(self, pixels: torch.Tensor) -> torch.Tensor:
        """Patches with their absolute positions: (batch, grid, grid, hidden)."""
        x = self.patch_embed(pixels)
        return x + self._positions(x.shape[1])

    def downsample(self, x: torch.Tensor) -> torch.Tensor:
        """Map (batch, grid, grid, hidden) onto (batch, grid / 4 * grid / 4, channels)."""
        x = self.neck(x).permute(0, 3, 1, 2)
        x = self.net_3(self.net_2(x))
        return x.permute(0, 2, 3, 1).flatten(1, 2)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Map uint8 (batch, side, side, 3) onto (batch, tokens, channels)."""
        x = self.embed(vary_batch(pixels))
        for block in self.blocks:
            x = block(vary_batch(x))
        return self.downsample(vary_batch(x))

    def _positions(self, side: int) -> torch.Tensor:
        if self.pos_embed.shape[1] == side:
            return self.pos_embed
        resized = functional.interpolate(
            self.pos_embed.permute(0, 3, 1, 2).float(),
            size=(side, side),
            mode="bicubic",
            antialias=True,
            align_corners=False,
        )
        return resized.permute(0, 2, 3, 1).to(self.pos_embed.dtype)
