"""Time the vision tower at full size on random weights, each lever alone and together.

    python benchmarks/vision_tower.py --out results.json

Every form of attention is first compared with the plain one in float32. What fails is noted and the
rest goes on; results are written after every step. The last line of stdout is all of them as JSON.
With `--rehearse` the same steps run in a minute on a CPU, on a tiny tower.
"""

import argparse
import gc
import json
import pathlib
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch.nn import functional

from benchmarks.tiny_tower import TINY
from deployments.model.vllm import query_encoder, sam
from deployments.model.vllm.compiling import compile_forward, vary_batch
from deployments.model.vllm.linear import Linear
from deployments.model.vllm.vision import VisionOptions, VisionTower
from deployments.model.vllm.vision_config import VisionConfig

GLOBAL = ("triton", "folded_fa3", "folded_cudnn", "folded_flash", "flex", "folded_efficient", "bias")
WINDOW = ("triton", "folded_fa3", "folded_cudnn", "folded_flash", "matmul", "bias", "flex")
QUERY = ("flash", "fa3", "masked")


class Bench:
    """Runs steps, keeps what they return, and survives what they raise."""

    def __init__(self, out: pathlib.Path | None, rehearse: bool, budget: float) -> None:
        self.out, self.rehearse, self.budget = out, rehearse, budget
        self.begun = time.monotonic()
        self.results: dict[str, Any] = {"failed": {}}
        self.device = torch.device("cpu" if rehearse else "cuda")
        self.dtype = torch.bfloat16
        self.backend = "eager" if rehearse else "inductor"

    def step(self, name: str, work: Callable[[], Any], *, least: float = 10.0) -> Any:
        """Do one step, if at least `least` seconds of the budget are left, and write what is known so far."""
        left = self.budget - (time.monotonic() - self.begun)
        if left < least:
            self.results["failed"][name] = "no time left"
            return None
        begun = time.monotonic()
        value = None
        try:
            value = self.results[name] = work()
        except Exception as error:
            self.results["failed"][name] = f"{type(error).__name__}: {error}"[:400]
        print(f"[{time.monotonic() - self.begun:6.1f} s, took {time.monotonic() - begun:5.1f}] {name}: "
              f"{self.results['failed'].get(name) or json.dumps(value)}", flush=True)  # fmt: skip
        if self.out:
            self.out.write_text(json.dumps(self.results))
        torch._dynamo.reset()
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        return value

    def milliseconds(self, work: Callable[[], Any], spend: float = 0.25) -> float:
        """Median time of one call, on the device."""
        work()
        if self.device.type == "cpu":
            begun = time.perf_counter()
            work()
            return round((time.perf_counter() - begun) * 1e3, 3)
        work()
        torch.cuda.synchronize()
        begun = time.perf_counter()
        work()
        torch.cuda.synchronize()
        times = []
        for _ in range(max(5, min(100, int(spend / (time.perf_counter() - begun))))):
            start, stop = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            start.record()
            work()
            stop.record()
            times.append((start, stop))
        torch.cuda.synchronize()
        return round(statistics.median(a.elapsed_time(b) for a, b in times), 4)


def deviation(ours: torch.Tensor, exact: torch.Tensor) -> float:
    """Relative error, as norms."""
    return float((ours.float() - exact.float()).norm() / exact.float().norm())


def randomise(module: torch.nn.Module) -> None:
    """Weights under which activations keep their size and every term counts."""
    for name, parameter in module.named_parameters():
        if "norm" in name and name.endswith("weight"):
            parameter.data.uniform_(0.8, 1.2)
        else:
            parameter.data.normal_(0, parameter[0].numel() ** -0.5 if parameter.ndim > 1 else 0.02)
        if "rel_pos" in name:
            parameter.data.normal_(0, 0.1)


def attention_errors(
    bench: Bench, config: VisionConfig, kinds: tuple[str, ...], window: int
) -> Callable[[], Any]:
    """Each form against the plain one in float32, for both grids."""

    def work() -> dict[str, Any]:
        found: dict[str, Any] = {}
        grids = sorted({config.grid(config.image_size), config.grid(config.tile_size)})
        exact = sam.Attention(config.sam, window, grids[-1]).to(bench.device)
        randomise(exact)
        half = sam.Attention(config.sam, window, grids[-1]).to(bench.device)
        half.load_state_dict(exact.state_dict())
        half.to(bench.dtype)
        for side in grids:
            x = torch.randn(2, side, side, config.sam.hidden_size, device=bench.device)
            reference = exact(x)
            for kind in kinds:
                half.kind = kind
                try:
                    found[f"{kind}@{side}"] = round(deviation(half(x.to(bench.dtype)), reference), 5)
                except Exception as error:
                    found[f"{kind}@{side}"] = f"{type(error).__name__}: {error}"[:200]
        return found

    return work


def attention_times(
    bench: Bench, config: VisionConfig, kind: str, window: int, side: int, batch: int
) -> Callable[[], Any]:
    """Milliseconds of one compiled attention, projections included, for a batch."""

    def work() -> float:
        module = sam.Attention(config.sam, window, config.grid(config.image_size)).to(
            bench.device, bench.dtype
        )
        randomise(module)
        module.kind = kind
        compile_forward(module, bench.backend)
        x = torch.randn(batch, side, side, config.sam.hidden_size, device=bench.device, dtype=bench.dtype)
        return bench.milliseconds(lambda: module(x))

    return work


def kernel_sweep(bench: Bench, config: VisionConfig, side: int, batch: int, window: int) -> Callable[[], Any]:
    """The fused kernels alone, over their launch settings."""

    def work() -> dict[str, Any]:
        from deployments.model.vllm import relative_attention_triton as fused

        heads, d = config.sam.num_attention_heads, config.sam.head_dim
        qkv = torch.randn(batch, side * side, 3, heads, d, device=bench.device, dtype=bench.dtype)
        bias = torch.randn(3 * heads * d, device=bench.device, dtype=bench.dtype)
        length = 2 * (window or side) - 1
        table = torch.randn(length, d, device=bench.device, dtype=bench.dtype) * 0.1
        width = fused.WINDOW_TABLE if window else fused.TABLE
        products = fused.position_products(qkv[:, :, 0], table, table, width)
        found: dict[str, Any] = {
            "products": bench.milliseconds(lambda: fused.position_products(qkv[:, :, 0], table, table, width))
        }
        if window:
            settings = [
                (64, 64, 4, 2),
                (64, 64, 4, 3),
                (128, 64, 8, 2),
                (64, 32, 4, 2),
                (64, 128, 4, 2),
                (128, 64, 4, 2),
            ]
        else:
            settings = [
                (128, 0, 8, 3),
                (128, 0, 8, 2),
                (128, 0, 8, 4),
                (64, 0, 4, 3),
                (64, 0, 4, 2),
                (128, 0, 4, 3),
            ]
        for queries, keys, warps, stages in settings:
            name = f"q{queries} k{keys or 64} w{warps} s{stages}"

            def run(
                queries: int = queries, keys: int = keys, warps: int = warps, stages: int = stages
            ) -> torch.Tensor:
                if window:
                    return fused.window_attention(
                        qkv, bias, products, side, window, queries, keys, warps, stages
                    )
                return fused.global_attention(qkv, products, side, queries, warps, stages)

            try:
                found[name] = bench.milliseconds(run)
            except Exception as error:
                found[name] = f"{type(error).__name__}: {error}"[:200]
        if not window:
            flops = 4 * batch * heads * d * (side * side) ** 2
            best = min(v for k, v in found.items() if isinstance(v, float) and k != "products")
            found["best TFLOP/s"] = round(flops / best / 1e9, 1)
        return found

    return work


def query_layer(bench: Bench, config: VisionConfig, kind: str, images: int, batch: int) -> Callable[[], Any]:
    """One compiled layer of the query encoder: error against float32, and milliseconds."""

    def work() -> dict[str, float]:
        encoder = query_encoder.QueryEncoder(replace(config.encoder, num_hidden_layers=1), images, 0)
        exact = query_encoder.Layer(config.encoder).to(bench.device)
        randomise(exact)
        half = query_encoder.Layer(config.encoder).to(bench.device)
        half.load_state_dict(exact.state_dict())
        half.to(bench.dtype)
        half.self_attn.kind = kind
        x = torch.randn(batch, 2 * images, config.encoder.hidden_size, device=bench.device)
        y = x.to(bench.dtype)
        whole, small = encoder.rotary(2 * images, x), encoder.rotary(2 * images, y)
        error = deviation(half(y[:2], *small, images, False), exact(x[:2], *whole, images, False))
        compile_forward(half, bench.backend)
        return {"error": round(error, 5), "ms": bench.milliseconds(lambda: half(y, *small, images, False))}

    return work


def linears(bench: Bench, config: VisionConfig, tokens: int) -> Callable[[], Any]:
    """SAM's and the query encoder's matrix products alone: milliseconds and TFLOP/s, bf16 and fp8."""

    def work() -> dict[str, Any]:
        wide, deep = config.sam, config.encoder
        shapes = {
            "sam qkv": (wide.hidden_size, 3 * wide.hidden_size),
            "sam proj": (wide.hidden_size, wide.hidden_size),
            "sam lin1": (wide.hidden_size, wide.mlp_dim),
            "sam lin2": (wide.mlp_dim, wide.hidden_size),
            "query gate_up": (deep.hidden_size, 2 * deep.intermediate_size),
            "query down": (deep.intermediate_size, deep.hidden_size),
        }
        found: dict[str, Any] = {}
        for name, (inputs, outputs) in shapes.items():
            layer = Linear(inputs, outputs).to(bench.device, bench.dtype)
            randomise(layer)
            x = torch.randn(tokens, inputs, device=bench.device, dtype=bench.dtype)
            scale = 2 * tokens * inputs * outputs / 1e9
            ms = bench.milliseconds(partial(layer, x))
            found[name] = [ms, round(scale / ms)]
            exact = layer(x[:256])
            torch._dynamo.reset()
            try:
                layer.to_fp8()
                compile_forward(layer, bench.backend)
                error = round(deviation(layer(x[:256]), exact), 4)
                ms = bench.milliseconds(partial(layer, x))
                found[name] += [ms, round(scale / ms), error]
            except Exception as error:
                found[name].append(f"{type(error).__name__}: {error}"[:200])
        return found

    return work


def make_tower(bench: Bench, config: VisionConfig, options: VisionOptions) -> VisionTower:
    """A tower with the same random weights every time."""
    torch.manual_seed(0)
    tower = VisionTower(config, options).eval()
    randomise(tower)
    return tower.to(bench.device, bench.dtype)


def tower_times(
    bench: Bench,
    config: VisionConfig,
    options: VisionOptions,
    views: tuple[int, ...],
    tiles: tuple[int, ...],
    reference: dict[int, torch.Tensor],
    breakdown: bool = False,
) -> Callable[[], Any]:
    """A whole tower: milliseconds for each batch, per view and per page of six tiles, and its error."""

    def work() -> dict[str, Any]:
        begun = time.monotonic()
        tower = make_tower(bench, config, options)
        tower.finish()
        found: dict[str, Any] = {}
        each: dict[int, float] = {}
        for side, sizes in ((config.image_size, views), (config.tile_size, tiles)):
            for size in sizes:
                torch.manual_seed(1)
                pixels = torch.randint(0, 256, (size, side, side, 3), dtype=torch.uint8, device=bench.device)
                with torch.inference_mode(), torch._dynamo.config.patch(recompile_limit=64):
                    if size == sizes[0] and side in reference:
                        found[f"error@{side}"] = round(
                            deviation(tower._encode(pixels[:2]), reference[side]), 5
                        )
                    if options.cuda_graphs and not bench.rehearse:
                        tower._encode(pixels)
                        run = tower._capture(pixels)
                        ms = bench.milliseconds(partial(run, pixels), 0.4)
                    else:
                        ms = bench.milliseconds(partial(tower._encode, pixels), 0.4)
                    found[f"{size} of {side}"] = ms
                    each[side] = min(each.get(side, 1e9), ms / size)
                    if breakdown and size == sizes[0]:
                        found[f"parts@{side}"] = parts(bench, tower, pixels)
        found["ms per global view"] = round(each[config.image_size], 3)
        found["ms per tile"] = round(each[config.tile_size], 3)
        found["ms per page"] = round(each[config.image_size] + 6 * each[config.tile_size], 3)
        found["seconds to start and time"] = round(time.monotonic() - begun, 1)
        return found

    return work


def parts(bench: Bench, tower: VisionTower, pixels: torch.Tensor) -> dict[str, float]:
    """Where a batch's time goes."""
    model, encoder = tower.sam_model, tower.qwen2_model
    x = model.embed(vary_batch(pixels))
    windowed = next(b for b in model.blocks if b.attn.window)
    whole = next(b for b in model.blocks if not b.attn.window)
    count = sum(1 for b in model.blocks if b.attn.window)
    images = model.downsample(vary_batch(x))
    return {
        "embed": bench.milliseconds(lambda: model.embed(vary_batch(pixels))),
        "sam windowed": round(count * bench.milliseconds(lambda: windowed(vary_batch(x))), 3),
        "sam global": round(
            (len(model.blocks) - count) * bench.milliseconds(lambda: whole(vary_batch(x))), 3
        ),
        "one windowed mlp": bench.milliseconds(lambda: windowed.mlp(x)),
        "neck": bench.milliseconds(lambda: model.downsample(vary_batch(x))),
        "query encoder": bench.milliseconds(lambda: encoder(images)),
    }


def tuned_mlp(bench: Bench, config: VisionConfig, tokens: int) -> Callable[[], Any]:
    """SAM's perceptron with products generated and tuned by the compiler, the GELU inside them."""

    def work() -> dict[str, float]:
        module = sam.Mlp(config.sam).to(bench.device, bench.dtype)
        randomise(module)
        x = torch.randn(tokens, config.sam.hidden_size, device=bench.device, dtype=bench.dtype)
        plain = torch.compile(module, backend=bench.backend)
        found = {"default": bench.milliseconds(lambda: plain(x))}
        if not bench.rehearse:
            torch._dynamo.reset()
            tuned = torch.compile(module, mode="max-autotune-no-cudagraphs")
            found["max-autotune"] = bench.milliseconds(lambda: tuned(x))
        hidden = module.lin1(x)
        found["gelu alone"] = bench.milliseconds(lambda: functional.gelu(hidden))
        return found

    return work


def best(
    results: dict[str, Any], prefix: str, kinds: tuple[str, ...], sides: list[int], weights: list[float]
) -> str:
    """The form with the least time over both kinds of view; the first where none was timed on all."""
    total = {}
    for kind in kinds:
        times = [results.get(f"{prefix} {kind}@{side}") for side in sides]
        times = [t["ms"] if isinstance(t, dict) else t for t in times]
        timed = [t for t in times if isinstance(t, float)]
        if len(timed) == len(sides):
            total[kind] = sum(w * t for w, t in zip(weights, timed, strict=True))
    return min(total, key=total.__getitem__, default=kinds[0])


def main() -> None:  # noqa: PLR0915 - a list of steps, best read in one piece
    """Run everything."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=pathlib.Path, help="file for the results, written after every step")
    parser.add_argument("--budget", type=float, default=300.0, help="seconds after which no new step begins")
    parser.add_argument("--rehearse", action="store_true", help="tiny, on the CPU")
    args = parser.parse_args()
    bench = Bench(args.out, args.rehearse, args.budget)
    config = TINY if args.rehearse else VisionConfig()
    views, tiles = ((2,), (2,)) if args.rehearse else ((8, 16, 32), (48, 96, 192))
    torch.manual_seed(0)
    torch.set_grad_enabled(False)
    window = config.sam.window_size
    view_grid, tile_grid = config.grid(config.image_size), config.grid(config.tile_size)
    grids = [(view_grid, views[0]), (tile_grid, tiles[0])]
    if not args.rehearse:
        # The float32 references must be float32.
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        bench.results["device"] = torch.cuda.get_device_name()
    bench.results["torch"] = torch.__version__

    kinds = (
        (("folded_math",), ("matmul",))
        if args.rehearse
        else (("triton", "folded_fa3", "folded_cudnn", "folded_flash", "bias"), WINDOW[:-1])
    )
    bench.step("errors global", attention_errors(bench, config, kinds[0], 0))
    bench.step("errors window", attention_errors(bench, config, kinds[1], window))
    reference: dict[int, torch.Tensor] = {}
    few = (views[:1], tiles[:1])

    def exact() -> str:
        tower = make_tower(bench, config, VisionOptions.plain()).float()
        for side, size in ((config.image_size, views[0]), (config.tile_size, tiles[0])):
            torch.manual_seed(1)
            pixels = torch.randint(0, 256, (size, side, side, 3), dtype=torch.uint8, device=bench.device)[:2]
            reference[side] = tower._encode(pixels)
        return "done"

    bench.step("float32 tower", exact)
    default = (
        replace(VisionOptions.plain(), compile="eager") if args.rehearse else VisionOptions(cuda_graphs=False)
    )
    bench.step("tower", tower_times(bench, config, default, views, tiles, reference, True))
    bench.step(
        "tower, graphs", tower_times(bench, config, replace(default, cuda_graphs=True), *few, reference)
    )
    if not args.rehearse:
        for side, batch in grids[::-1]:
            bench.step(f"sweep global@{side}", kernel_sweep(bench, config, side, batch, 0))
            bench.step(f"sweep window@{side}", kernel_sweep(bench, config, side, batch, window))
    for tokens, batch in ((config.tile_tokens, tiles[0]), (config.view_tokens, views[0])):
        for kind in QUERY if not args.rehearse else ("masked",):
            bench.step(f"query {kind}@{tokens}", query_layer(bench, config, kind, tokens, batch))
    for side, batch in grids[::-1]:
        on_tiles = side == tile_grid
        for kind in ("bias",) if args.rehearse else GLOBAL if on_tiles else GLOBAL[:3]:
            bench.step(f"global {kind}@{side}", attention_times(bench, config, kind, 0, side, batch))
        for kind in ("bias",) if args.rehearse else WINDOW if on_tiles else WINDOW[:3]:
            bench.step(f"window {kind}@{side}", attention_times(bench, config, kind, window, side, batch))

    sides, weights = [view_grid, tile_grid], [1 / views[0], 6 / tiles[0]]
    chosen = replace(
        default,
        global_attention=best(bench.results, "global", GLOBAL, sides, weights),
        window_attention=best(bench.results, "window", WINDOW, sides, weights),
        query_attention=best(
            bench.results, "query", QUERY, [config.view_tokens, config.tile_tokens], weights
        ),
    )
    bench.results["chosen"] = [chosen.global_attention, chosen.window_attention, chosen.query_attention]
    print("chosen", bench.results["chosen"], flush=True)
    if chosen != default and not args.rehearse:
        bench.step("tower chosen", tower_times(bench, config, chosen, *few, reference, True), least=25)
    bench.step("linears", linears(bench, config, tiles[0] * tile_grid**2), least=20)
    if args.rehearse:
        chosen = default
    fp8 = replace(chosen, fp8=True)
    bench.step("tower chosen, fp8", tower_times(bench, config, fp8, *few, reference, True), least=30)
    eager = replace(chosen, compile=None)
    bench.step("tower chosen, not compiled", tower_times(bench, config, eager, *few, reference), least=15)
    plain = replace(VisionOptions.plain(), compile=bench.backend)
    bench.step("tower plain, compiled", tower_times(bench, config, plain, *few, reference), least=30)
    bench.step("tuned mlp", tuned_mlp(bench, config, tiles[0] * tile_grid**2), least=45)
    bench.results["seconds"] = round(time.monotonic() - bench.begun, 1)
    table(bench.results)
    print(json.dumps(bench.results))


def table(results: dict[str, Any]) -> None:
    """A short summary for people."""
    print(f"\n{'step':<34}{'ms (a page: one view, six tiles)':>34}{'error':>20}")
    for name, value in results.items():
        if isinstance(value, float) and name != "seconds":
            print(f"{name:<34}{value:>34}")
        elif isinstance(value, dict) and "ms" in value:
            print(f"{name:<34}{value['ms']:>34}{value['error']:>20}")
        elif isinstance(value, dict) and "ms per page" in value:
            errors = [str(v) for k, v in value.items() if k.startswith("error")]
            page = f"{value['ms per page']} ({value['ms per global view']}, {value['ms per tile']})"
            print(f"{name:<34}{page:>34}{' '.join(errors):>20}")
    for name, why in results["failed"].items():
        print(f"failed: {name}: {why[:120]}")


if __name__ == "__main__":
    main()
