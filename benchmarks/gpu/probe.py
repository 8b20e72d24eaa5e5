"""Measurements inside vLLM's worker process, which `worker_extension_cls` puts there."""

import time
from typing import Any

import torch


class Probe:
    """Methods that become the worker's own; the engine must be idle when one is called."""

    @torch.inference_mode()
    def probe_vision(self, pages: int, tiles: int, base_size: int, image_size: int, repeats: int) -> float:
        """Return a batch's seconds from uint8 views on the host to embeddings, the median of `repeats`."""
        model: Any = self.get_model()  # type: ignore[attr-defined]  # the worker's
        device = next(model.parameters()).device
        pixels = [
            [
                torch.randint(0, 256, (count, side, side, 3), dtype=torch.uint8)
                for count, side in ((1, base_size), (tiles, image_size))
            ]
            for _ in range(pages)
        ]
        return _median(lambda: model.embed_multimodal(pixels=pixels), device, repeats)

    @torch.inference_mode()
    def probe_stock_vision(
        self, grid: tuple[int, int], base_size: int, image_size: int, repeats: int
    ) -> float:
        """The same for vLLM's own model and one page: it takes normalised pixels, and pages one at a time."""
        model: Any = self.get_model()  # type: ignore[attr-defined]  # the worker's
        weight = next(model.parameters())
        tiles = grid[0] * grid[1]
        views = {
            "pixel_values": torch.randn(1, 3, base_size, base_size, dtype=weight.dtype, device=weight.device),
            "images_crop": torch.randn(
                tiles, 3, image_size, image_size, dtype=weight.dtype, device=weight.device
            ),
            "images_spatial_crop": torch.tensor([list(grid)]),
        }
        return _median(lambda: model.embed_multimodal(**views), weight.device, repeats)


def _median(call: Any, device: torch.device, repeats: int) -> float:
    """Seconds of one call, after one that does not count."""
    seconds = []
    for _ in range(repeats + 1):
        if device.type == "cuda":
            torch.cuda.synchronize()
        began = time.perf_counter()
        call()
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    return sorted(seconds[1:])[repeats // 2]
