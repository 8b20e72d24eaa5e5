"""Which runs an invocation makes: the modes, or variants of one setting at a time."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from benchmarks.gpu.spec import Phase, Spec

MODES = ("engine", "stock", "stock-cached-mask", "graph", "bulk")


class Pace(NamedTuple):
    """Seconds before the steady window, and of it, and whether what is under way then is finished."""

    settle_s: float
    window_s: float
    drain: bool


PACES = {
    "engine": Pace(15, 60, drain=True),
    "stock": Pace(15, 45, drain=False),  # draining 640 pages would take it three minutes
    "stock-cached-mask": Pace(15, 45, drain=False),
    "graph": Pace(45, 45, drain=True),  # its first wave of pages is seen for 40 s
    "bulk": Pace(35, 45, drain=True),
}
SHORT_PACES = {
    "engine": Pace(12, 28, drain=False),
    "stock": Pace(10, 25, drain=False),
    "stock-cached-mask": Pace(10, 25, drain=False),
    "graph": Pace(40, 20, drain=False),
    "bulk": Pace(20, 20, drain=True),
}
"""So that all modes, five starts of an engine among them, take some twelve minutes where caches are warm."""

FEW_MODES = 2
"""More than so many modes go at the short pace."""

SWEEP_PACE = Pace(12, 40, drain=False)

PLAIN_VISION = {
    "global_attention": "bias",
    "window_attention": "bias",
    "query_attention": "masked",
    "compile": None,
    "cuda_graphs": False,
}
"""The vision tower without any of what makes it fast."""

APART = ("graph", "bulk")
"""Modes with a Ray of their own, which is started anew for each of several runs."""

VARIANTS: dict[str, dict[str, Any]] = {
    "base": {},
    "seqs-256": {"max_num_seqs": 256},
    "seqs-768": {"max_num_seqs": 768},
    "seqs-1024": {"max_num_seqs": 1024},
    "tokens-4k": {"max_num_batched_tokens": 4_096},
    "tokens-16k": {"max_num_batched_tokens": 16_384},
    "tokens-32k": {"max_num_batched_tokens": 32_768},
    "kv-fp8": {"kv_cache_dtype": "fp8"},
    "weights-fp8": {"quantization": "fp8"},
    "async-off": {"async_scheduling": False},
    "async-on": {"async_scheduling": True},
    "runner-v1": {"model_runner": "v1"},
    "moe-untuned": {"moe_config_folder": "/nonexistent"},
    "eager": {"enforce_eager": True},
    "vision-plain": {"additional_config": {"vision": PLAIN_VISION}},
    "vision-ungraphed": {"additional_config": {"vision": {"cuda_graphs": False}}},
    "vision-fp8": {"additional_config": {"vision": {"fp8": True}}},
    "kv-and-vision-fp8": {"kv_cache_dtype": "fp8", "additional_config": {"vision": {"fp8": True}}},
    "plain": {
        "enforce_eager": True,
        "model_runner": "v1",
        "async_scheduling": False,
        "pages_read_together": 1,
        "moe_config_folder": "/nonexistent",
        "additional_config": {"vision": PLAIN_VISION},
    },
}
"""Changes to the engine's settings, by name. `base` also has a phase without the no-repeat rule; `plain` is
the engine without any of what makes it fast, for answers to compare with."""

GROUPS = {
    "all": tuple(VARIANTS),
    "seqs": ("base", "seqs-256", "seqs-768", "seqs-1024"),
    "tokens": ("base", "tokens-4k", "tokens-16k", "tokens-32k"),
    "fp8": ("base", "kv-fp8", "weights-fp8", "vision-fp8", "kv-and-vision-fp8"),
    "async": ("async-off", "async-on"),
    "vision": ("base", "vision-plain", "vision-ungraphed", "vision-fp8"),
}


@dataclass(frozen=True)
class Base:
    """What all runs of an invocation share; `None` leaves it to the mode."""

    model: str
    out: str
    pages_pdf: str
    distinct_pages: int
    in_flight: float
    primed: bool
    breakdown: bool
    seed: int
    drain: bool
    repeats: int
    settle_s: float | None
    window_s: float | None
    means: tuple[float, ...]
    vllm: dict[str, Any]
    stock: dict[str, Any]
    options: dict[str, Any]

    def spec(self, name: str, mode: str, phases: tuple[Phase, ...]) -> Spec:
        """Return a run's spec."""
        return Spec(
            name=name,
            mode=mode,
            model=self.model,
            out=self.out,
            pages_pdf=self.pages_pdf,
            distinct_pages=self.distinct_pages,
            in_flight=self.in_flight,
            primed=self.primed,
            breakdown=self.breakdown,
            seed=self.seed,
            phases=phases,
            vllm=self.stock if mode.startswith("stock") else self.vllm,
            options=self.options,
        )

    def phase(self, label: str, mean: float, pace: Pace, ngram_size: int = 20) -> Phase:
        """Return a phase at a mode's pace, or as the invocation says."""
        settle_s = pace.settle_s if self.settle_s is None else self.settle_s
        window_s = pace.window_s if self.window_s is None else self.window_s
        return Phase(label, mean, settle_s, window_s, pace.drain and self.drain, ngram_size)


def modes(base: Base, names: Sequence[str]) -> list[Spec]:
    """Return the runs of each mode, in the order of `MODES`.

    Several runs of a mode go one after the other on one engine, each from a new beginning, unless the mode
    starts a Ray.

    Raises:
        SystemExit: a name is none of a mode.
    """
    if unknown := set(names) - set(MODES):
        raise SystemExit(f"there is no mode {', '.join(sorted(unknown))}; there are {', '.join(MODES)}")
    specs = []
    paces = PACES if len(set(names)) <= FEW_MODES else SHORT_PACES
    for mode in (mode for mode in MODES if mode in names):
        means = base.means if mode == "engine" else base.means[:1]
        phases = tuple(base.phase(f"mean-{mean:g}", mean, paces[mode]) for mean in means)
        if mode in APART:
            for repeat in range(base.repeats):
                name = f"{mode}-{repeat + 1}" if repeat else mode
                specs.append(base.spec(name, mode, tuple(replace(phase, repeat=repeat) for phase in phases)))
            continue
        repeated = [
            replace(phase, label=f"{phase.label}-{repeat + 1}" if repeat else phase.label, repeat=repeat)
            for repeat in range(base.repeats)
            for phase in phases
        ]
        specs.append(base.spec(mode, mode, tuple(repeated)))
    return specs


def sweep(base: Base, names: str) -> list[Spec]:
    """Return a short run of mode `engine` for each variant.

    Args:
        base: what they share.
        names: groups, variants, or `NAME:KEY=VALUE:KEY=VALUE` for one of one's own, separated by commas.

    Raises:
        SystemExit: a name is none of a group or variant.
    """
    variants: dict[str, dict[str, Any]] = {}
    for name in names.split(","):
        own, *settings = name.split(":")
        if settings:
            variants[own] = pairs(settings)
        elif own in GROUPS:
            variants |= {variant: VARIANTS[variant] for variant in GROUPS[own]}
        elif own in VARIANTS:
            variants[own] = VARIANTS[own]
        else:
            raise SystemExit(f"there is no variant {own}; there are {', '.join([*GROUPS, *VARIANTS])}")
    specs = []
    for name, change in variants.items():
        phases = [base.phase(f"mean-{base.means[0]:g}", base.means[0], SWEEP_PACE)]
        if name == "base":
            phases.append(base.phase("ngram-off", base.means[0], SWEEP_PACE, ngram_size=0))
        spec = base.spec(f"sweep-{name}", "engine", tuple(phases))
        specs.append(replace(spec, vllm={**base.vllm, **change}, breakdown=base.breakdown and name == "base"))
    return specs


def pairs(items: Sequence[str]) -> dict[str, Any]:
    """Read `KEY=VALUE` items; a value is JSON where it can be read as such, else text."""
    found: dict[str, Any] = {}
    for item in items:
        key, _, value = item.partition("=")
        try:
            found[key] = json.loads(value)
        except json.JSONDecodeError:
            found[key] = value
    return found
