"""`torch.compile`, block by block, with the batch as the only dimension that varies."""

import torch
from torch import nn


def compile_forward(module: nn.Module, backend: str = "inductor") -> None:
    """Compile a module's `forward` in place; modules of one class and one shape share the result."""
    module.forward = torch.compile(module.forward, backend=backend)  # type: ignore[method-assign]


def vary_batch(x: torch.Tensor) -> torch.Tensor:
    """Tell the compiler that x's first dimension varies and no other does.

    Without it the second kind of view (48 patches a side after 64) would make the sides vary too.
    """
    torch._dynamo.maybe_mark_dynamic(x, 0)
    torch._dynamo.mark_static(x, list(range(1, x.ndim)))
    return x
