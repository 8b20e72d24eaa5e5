"""A linear layer that can turn itself to fp8."""

import torch
from torch import nn
from torch.nn import functional

FP8 = torch.float8_e4m3fn
FP8_MAX = torch.finfo(FP8).max


class Linear(nn.Linear):
    """`nn.Linear`, and after `to_fp8` the same with weights and inputs in fp8 (e4m3).

    Each output channel's weights and each token's numbers have a scale of their own.
    """

    def __init__(self, inputs: int, outputs: int, bias: bool = True) -> None:
        super().__init__(inputs, outputs, bias)
        self.register_buffer("weight_fp8", None, persistent=False)
        self.register_buffer("weight_scale", None, persistent=False)
        self.weight_fp8: torch.Tensor | None
        self.weight_scale: torch.Tensor | None

    @torch.no_grad()
    def to_fp8(self) -> None:
        """Switch to fp8 (Hopper and later); the weights are rounded once, here."""
        weight = self.weight.float()
        scale = weight.abs().amax(dim=1, keepdim=True).clamp(min=1e-12) / FP8_MAX
        self.weight_fp8 = (weight / scale).to(FP8)
        self.weight_scale = scale.t().contiguous()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (…, inputs) onto (…, outputs)."""
        if self.weight_fp8 is None or self.weight_scale is None:
            return functional.linear(x, self.weight, self.bias)
        flat = x.reshape(-1, x.shape[-1])
        scale = flat.abs().amax(dim=1, keepdim=True).float().clamp(min=1e-12) / FP8_MAX
        rounded = (flat.float() / scale).to(FP8)
        out = torch._scaled_mm(
            rounded,
            self.weight_fp8.t(),
            scale_a=scale,
            scale_b=self.weight_scale,
            bias=self.bias,
            out_dtype=x.dtype,
            use_fast_accum=True,
        )
        return out.view(*x.shape[:-1], -1)
