"""Tune vLLM's fused mixture-of-experts kernel for DeepSeek-OCR-2's experts on the GPU at hand.

    python benchmarks/tune_moe.py [--out FOLDER] [--seconds 150] [--workers 12] [--sizes 512,8192]

vLLM picks block sizes from a file per GPU and shape, and has none for 64 experts of 896 on most GPUs;
then it guesses. This searches a pruned space and writes the file vLLM looks for, after every batch
size, the most important first, so that a run that is cut short is of use. Kernels are compiled by
several processes at once into Triton's cache; measured is the whole expert layer, ten calls with
different routings in one CUDA graph. The last line on stdout is JSON.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

EXPERTS, WIDTH, HIDDEN, TOP_K = 64, 896, 1280, 6
SHARED_MEMORY = 227 * 1024
"""Bytes a block may use on Hopper; on other GPUs a config that needs more fails and is passed over."""

# Decode at 512 to 1,024 sequences and prefill first: that is where the time goes.
SIZES = (
    512,
    1024,
    8192,
    256,
    4096,
    768,
    16384,
    128,
    2048,
    384,
    1536,
    64,
    640,
    3072,
    32,
    192,
    16,
    8,
    96,
    4,
    2,
    1,
)
CALLS, REPLAYS = 10, 3
DEFAULT_OUT = Path(__file__).parent.parent / "deployments" / "model" / "vllm" / "moe_configs"


class Config(NamedTuple):
    """One way to launch the kernel, in Triton's terms."""

    block_m: int
    block_n: int
    block_k: int
    group_m: int
    warps: int
    stages: int

    def as_vllm(self) -> dict[str, int]:
        """Under the names vLLM's files use."""
        return {
            "BLOCK_SIZE_M": self.block_m,
            "BLOCK_SIZE_N": self.block_n,
            "BLOCK_SIZE_K": self.block_k,
            "GROUP_SIZE_M": self.group_m,
            "num_warps": self.warps,
            "num_stages": self.stages,
        }

    def fits(self) -> bool:
        """Whether its pipeline fits into shared memory, and its threads have the right amount to do."""
        tile = self.block_m * self.block_n
        shared = (self.block_m + self.block_n) * self.block_k * 2 * self.stages
        busy = tile >= 4096 or self.warps == 4
        crowded = tile >= 128 * 256 and self.warps == 4
        return shared <= SHARED_MEMORY and busy and not crowded


def blocks_m(tokens: int) -> list[int]:
    """Rows of a block worth trying: around the tokens an expert gets, never fewer than a tensor core's 16."""
    each = tokens * TOP_K / EXPERTS
    return [block for block in (16, 32, 64, 128) if block <= max(16, 4 * each) and block >= min(64, each / 2)]


def coarse(tokens: int) -> Iterator[Config]:
    """First round: tile shapes, with the warps and stages that usually suit them."""
    for block_m, block_n, block_k in product(blocks_m(tokens), (64, 128, 256), (64, 128)):
        warps = 4 if block_m * block_n <= 64 * 128 else 8
        config = Config(block_m, block_n, block_k, 1, warps, 4 if block_k == 64 else 3)
        if config.fits():
            yield config


def fine(best: Sequence[Config], tokens: int) -> Iterator[Config]:
    """Second round: the best shapes with other warps, stages and block orders."""
    groups = (1, 16) if tokens * TOP_K / EXPERTS > 64 else (1,)
    seen = set(best)
    for shape in best:
        for group, warps, stages in product(groups, (4, 8), (2, 3, 4, 5)):
            config = shape._replace(group_m=group, warps=warps, stages=stages)
            if config.fits() and config not in seen:
                seen.add(config)
                yield config


def search(
    tokens: int, measure: Callable[[Sequence[Config]], list[float]], keep: int = 3
) -> tuple[Config, float]:
    """The fastest configuration for a batch, and its time.

    Args:
        tokens: of the batch.
        measure: times of configurations, in seconds; infinite for one that does not run.
        keep: shapes that go into the second round.
    """
    first = list(coarse(tokens))
    timed = dict(zip(first, measure(first), strict=True))
    second = list(fine(sorted(timed, key=timed.__getitem__)[:keep], tokens))
    timed |= dict(zip(second, measure(second), strict=True))
    best = min(timed, key=timed.__getitem__)
    return best, timed[best]


def write(path: Path, found: dict[int, Config]) -> None:
    """Write the file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {str(tokens): found[tokens].as_vllm() for tokens in sorted(found)}
    with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".tmp", delete=False) as file:
        file.write(json.dumps(content, indent=4) + "\n")
    Path(file.name).chmod(0o644)
    Path(file.name).replace(path)


class Layer:
    """An expert layer with random weights on the GPU."""

    def __init__(self) -> None:
        import torch

        torch.manual_seed(0)
        options = {"dtype": torch.bfloat16, "device": "cuda"}
        self.up = torch.randn(EXPERTS, 2 * WIDTH, HIDDEN, **options) / HIDDEN**0.5
        self.down = torch.randn(EXPERTS, HIDDEN, WIDTH, **options) / WIDTH**0.5

    @cache  # noqa: B019 - one layer a process, which ends with it
    def batch(self, tokens: int) -> tuple[Any, list[tuple[Any, Any]]]:
        """Hidden states, and as many routings as there are calls."""
        import torch

        hidden = torch.randn(tokens, HIDDEN, dtype=torch.bfloat16, device="cuda")
        routings = []
        for _ in range(CALLS):
            weights, ids = torch.randn(tokens, EXPERTS, device="cuda").softmax(dim=-1).topk(TOP_K)
            routings.append((weights, ids.to(torch.int32)))
        return hidden, routings

    def run(self, tokens: int, config: dict[str, int] | None, calls: int) -> None:
        """Call the layer with `config`, or with what vLLM would choose."""
        from vllm.model_executor.layers.fused_moe import fused_experts, override_config

        hidden, routings = self.batch(tokens)
        with override_config(config):
            for weights, ids in routings[:calls]:
                fused_experts(hidden, self.up, self.down, weights, ids)

    def seconds(self, tokens: int, config: dict[str, int] | None) -> float:
        """Median time of one call, or infinity where the configuration does not run."""
        import torch
        from triton.runtime.errors import OutOfResources

        try:
            self.run(tokens, config, 1)
            torch.cuda.synchronize()
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                self.run(tokens, config, CALLS)
        except (OutOfResources, RuntimeError):
            return float("inf")
        graph.replay()
        times = []
        for _ in range(REPLAYS):
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            graph.replay()
            end.record()
            end.synchronize()
            times.append(start.elapsed_time(end) / 1_000 / CALLS)
        graph.reset()
        return sorted(times)[len(times) // 2]


@cache
def layer() -> Layer:
    """This process's layer."""
    return Layer()


def compile_config(tokens: int, config: Config) -> None:
    """Compile a configuration's kernels into Triton's cache; one that does not run is found out later."""
    import torch
    from triton.runtime.errors import OutOfResources

    try:
        layer().run(tokens, config.as_vllm(), 1)
        torch.cuda.synchronize()
    except (OutOfResources, RuntimeError):
        return


def main() -> None:
    """Tune and report."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--out", type=Path, default=DEFAULT_OUT, help="folder of the file")
    arguments.add_argument(
        "--seconds", type=float, default=150, help="start no further batch size after so long"
    )
    arguments.add_argument(
        "--workers", type=int, default=min(12, os.cpu_count() or 1), help="compiling processes"
    )
    arguments.add_argument("--sizes", default=",".join(map(str, SIZES)), help="batch sizes, in tokens")
    args = arguments.parse_args()
    began = time.perf_counter()

    from vllm.model_executor.layers.fused_moe.fused_moe import get_config_file_name

    path = args.out / get_config_file_name(EXPERTS, WIDTH, None)
    found: dict[int, Config] = {}
    report: dict[int, dict[str, float]] = {}
    # Processes that have used CUDA can't be forked.
    with ProcessPoolExecutor(args.workers, mp_context=get_context("spawn")) as pool:
        for tokens in map(int, args.sizes.split(",")):
            if time.perf_counter() - began > args.seconds:
                break

            def measure(configs: Sequence[Config], tokens: int = tokens) -> list[float]:
                list(pool.map(compile_config, [tokens] * len(configs), configs))
                return [layer().seconds(tokens, config.as_vllm()) for config in configs]

            found[tokens], best = search(tokens, measure)
            write(path, found)
            guess = layer().seconds(tokens, None)
            layer().batch.cache_clear()
            report[tokens] = {"vllm_us": round(guess * 1e6, 1), "tuned_us": round(best * 1e6, 1)}
            print(
                f"{tokens:6} tokens: {guess * 1e6:8.1f} -> {best * 1e6:8.1f} us  {found[tokens]}", flush=True
            )
    print(json.dumps({"file": path.name, "seconds": round(time.perf_counter() - began, 1), "sizes": report}))


if __name__ == "__main__":
    main()
