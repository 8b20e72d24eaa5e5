"""The vision tower: bytes of global views and tiles in, embeddings of whole pages out.

All global views of a scheduler step run as one stream of batches and all tiles as another. A batch has
one of a few sizes, so that every kernel is compiled, tuned and captured into a CUDA graph at start and
none in the path of a request: a number of views is taken apart into such sizes (13 = 8 + 4 + 1), and
only what is smaller than the smallest size is padded.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import nn

from deployments.model.vllm import query_encoder, relative_attention
from deployments.model.vllm.compiling import compile_forward
from deployments.model.vllm.linear import Linear
from deployments.model.vllm.query_encoder import QueryEncoder
from deployments.model.vllm.sam import SamEncoder
from deployments.model.vllm.vision_config import VisionConfig

FUSED = "triton"

RECOMPILE_LIMIT = 32
"""A block's code is compiled for windows and whole grids, 48 and 64 patches, one view and several."""


@dataclass(frozen=True, slots=True)
class VisionOptions:
    """How the tower computes; what it computes is the same but for rounding.

    Attributes:
        global_attention: of SAM's global blocks, `triton` or a key of `relative_attention.ATTEND`.
        window_attention: of its windowed blocks, the same.
        query_attention: of the query encoder, a key of `query_encoder.ATTEND`.
        compile: the backend of `torch.compile`, or None for none.
        cuda_graphs: whether each batch size is captured.
        fp8: whether linear layers run in fp8.
        view_batches: batch sizes for global views.
        tile_batches: batch sizes for tiles.
    """

    global_attention: str = FUSED
    window_attention: str = FUSED
    query_attention: str = "flash"
    compile: str | None = "inductor"
    cuda_graphs: bool = True
    fp8: bool = False
    view_batches: tuple[int, ...] = (1, 2, 4, 8)
    tile_batches: tuple[int, ...] = (2, 4, 6, 12, 24, 48)

    @classmethod
    def plain(cls) -> Self:
        """What runs everywhere, CPUs included."""
        return cls("bias", "bias", "masked", compile=None, cuda_graphs=False)

    def __post_init__(self) -> None:
        for name, known in (
            ("global_attention", (FUSED, *relative_attention.ATTEND)),
            ("window_attention", (FUSED, *relative_attention.ATTEND)),
            ("query_attention", tuple(query_encoder.ATTEND)),
        ):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} is {getattr(self, name)!r}; it must be one of {', '.join(known)}.")


def take_apart(count: int, sizes: tuple[int, ...]) -> Iterator[int]:
    """Sizes, largest first, that together hold `count`; only the last may hold fewer than its size."""
    sizes = tuple(sorted(sizes))
    while count > 0:
        size = max((s for s in sizes if s <= count), default=sizes[0])
        yield size
        count -= size


class Projector(nn.Module):
    """From the query encoder's width to the language model's."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.layers = nn.Linear(inputs, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (…, inputs) onto (…, outputs)."""
        out: torch.Tensor = self.layers(x)
        return out


class VisionTower(nn.Module):
    """SAM, query encoder, projector and view separator.

    Args:
        config: dimensions.
        options: how to compute.
    """

    def __init__(self, config: VisionConfig, options: VisionOptions) -> None:
        super().__init__()
        self.config, self.options = config, options
        self.sam_model = SamEncoder(config.sam, config.image_size)
        self.qwen2_model = QueryEncoder(config.encoder, config.view_tokens, config.tile_tokens)
        self.projector = Projector(config.encoder.hidden_size, config.output_size)
        # Spelt as in the checkpoint.
        self.view_seperator = nn.Parameter(torch.zeros(config.output_size))
        self._pool: Any = None
        self._graphs: dict[tuple[int, int], Callable[[torch.Tensor], torch.Tensor]] = {}
        self._configure()

    def _configure(self) -> None:
        for block in self.sam_model.blocks:
            block.attn.kind = (
                self.options.window_attention if block.attn.window else self.options.global_attention
            )
        for layer in self.qwen2_model.layers:
            layer.self_attn.kind = self.options.query_attention
        if self.options.compile:
            sam, encoder = self.sam_model, self.qwen2_model
            for module in (sam.patch_embed, *sam.blocks, sam.neck, *encoder.layers, encoder.norm):
                compile_forward(module, self.options.compile)

    @torch.no_grad()
    def finish(self) -> None:
        """What follows the loading of weights: fp8 copies, if asked for."""
        if self.options.fp8:
            for module in self.modules():
                if isinstance(module, Linear):
                    module.to_fp8()

    @torch.inference_mode()
    def warm_up(self) -> None:
        """Compile, tune and capture every batch size, so that no request waits for it."""
        device, options = self.view_seperator.device, self.options
        if device.type == "cpu" and not options.compile:
            return
        with torch._dynamo.config.patch(recompile_limit=RECOMPILE_LIMIT):
            for side, sizes in self._streams():
                # The largest first: what is compiled for it serves the others.
                for size in sorted(sizes, reverse=True):
                    pixels = torch.randint(0, 256, (size, side, side, 3), dtype=torch.uint8, device=device)
                    self._encode(pixels)
                    if options.cuda_graphs:
                        self._graphs[side, size] = self._capture(pixels)

    def _streams(self) -> tuple[tuple[int, tuple[int, ...]], ...]:
        return (
            (self.config.image_size, self.options.view_batches),
            (self.config.tile_size, self.options.tile_batches),
        )

    def _encode(self, pixels: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.projector(self.qwen2_model(self.sam_model(pixels)))
        return out

    def _capture(self, pixels: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
        # One memory pool for all graphs: they run one after another.
        self._pool = self._pool or torch.cuda.graph_pool_handle()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            out = self._encode(pixels)

        def replay(given: torch.Tensor) -> torch.Tensor:
            pixels[: len(given)] = given
            graph.replay()
            return out

        return replay

    @torch.inference_mode()
    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """Embeddings of views of one size.

        Args:
            pixels: uint8 (count, side, side, 3) with the side of global views or of tiles; count may be 0.

        Returns:
            (count, tokens, output size).
        """
        count, side = pixels.shape[:2]
        tokens = self.config.tokens(side)
        out = self.view_seperator.new_empty((count, tokens, self.config.output_size))
        sizes = dict(self._streams())[side]
        start = 0
        for size in take_apart(count, sizes):
            stop = min(start + size, count)
            run = self._graphs.get((side, size))
            if run is None:
                # A tensor of our own, so that the compiler never meets one made elsewhere in another mode.
                batch = pixels.new_empty((size, *pixels.shape[1:]))
                batch[: stop - start] = pixels[start:stop]
                done = self._encode(batch)
            else:
                done = run(pixels[start:stop])
            out[start:stop] = done[: stop - start]
            start = stop
        return out

    @torch.inference_mode()
    def forward(
        self, global_view: torch.Tensor, tiles: torch.Tensor, tile_counts: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        """Embeddings of whole pages.

        Args:
            global_view: uint8 (pages, image_size, image_size, 3).
            tiles: uint8 (tiles of all pages, tile_size, tile_size, 3).
            tile_counts: int64 (pages,), on the CPU.

        Returns:
            For each page (tokens, output size): its tiles', its global view's, the view separator.
        """
        views = self.encode(global_view).flatten(0, 1)
        parts = self.encode(tiles).flatten(0, 1)
        every = torch.cat([parts, views, self.view_seperator[None]])
        order, lengths = self.page_order(tile_counts)
        device = every.device
        if device.type == "cuda":
            order = order.pin_memory()
        return every.index_select(0, order.to(device, non_blocking=True)).split(lengths)

    def page_order(self, tile_counts: torch.Tensor) -> tuple[torch.Tensor, list[int]]:
        """Where each row of the pages' embeddings stands in [all tiles, all global views, separator].

        Args:
            tile_counts: int64 (pages,), on the CPU.

        Returns:
            int64 (rows of all pages,), and the rows of each page.
        """
        tile, view = self.config.tile_tokens, self.config.view_tokens
        pages = len(tile_counts)
        own = tile_counts * tile
        lengths = own + view + 1
        page = torch.repeat_interleave(torch.arange(pages), lengths)
        row = torch.arange(len(page)) - (lengths.cumsum(0) - lengths)[page]
        before = (own.cumsum(0) - own)[page]
        in_view = own.sum() + page * view + row - own[page]
        order = torch.where(row < own[page], before + row, in_view)
        order[lengths.cumsum(0) - 1] = own.sum() + pages * view
        return order, lengths.tolist()
