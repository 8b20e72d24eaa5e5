"""Compares the Triton kernels with the plain form, in Triton's interpreter; prints the relative errors."""

import torch

from deployments.model.vllm import relative_attention as plain
from deployments.model.vllm import relative_attention_triton as fused
from deployments.model.vllm.sam import Attention
from deployments.model.vllm.vision_config import SamConfig


def deviation(ours: torch.Tensor, exact: torch.Tensor) -> float:
    return float((ours - exact).norm() / exact.norm())


def whole_grid(side: int, queries: int) -> float:
    qkv = torch.randn(1, side * side, 3, 1, 16)
    table_h, table_w = torch.randn(2, 2 * side - 1, 16) * 0.3
    q, k, v = qkv.unbind(2)
    exact = plain.attend_bias(q, k, v, *plain.position_terms(q, table_h, table_w, side)).flatten(2)
    products = fused.position_products(q, table_h, table_w, fused.TABLE)
    return deviation(fused.global_attention(qkv, products, side, queries), exact)


def windows(side: int, window: int) -> float:
    attention = Attention(SamConfig(hidden_size=32, num_attention_heads=2), window, side)
    for parameter in attention.parameters():
        parameter.data = torch.randn_like(parameter) * 0.3
    x = torch.randn(2, side, side, 32)
    exact = attention(x)
    attention.kind = "triton"
    return deviation(attention(x), exact)


with torch.no_grad():
    torch.manual_seed(0)
    print(whole_grid(64, 1024), whole_grid(48, 256), windows(12, 5), windows(20, 14))  # noqa: T201 - its result
