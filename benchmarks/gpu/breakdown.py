"""Where the time of a page goes: each part alone, on an otherwise idle engine.

The parts overlap in production, so they do not add up to the time between two pages; what the GPU
does (vision, prefill, decode) adds up to what it needs for a page when it is never idle.
"""

import asyncio
import inspect
import itertools
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pymupdf
from vllm import SamplingParams
from vllm.v1.engine import EngineCoreRequest
from vllm.v1.serial_utils import MsgpackDecoder, MsgpackEncoder

from benchmarks.gpu.engine_settings import view_settings
from benchmarks.gpu.lengths import UnderWay
from benchmarks.gpu.pages import DPI, preprocessor
from benchmarks.gpu.spec import Spec
from deployments.model.runaway import RunawayDetector
from deployments.model.vllm.detokenize import TextStream
from deployments.model.vllm.inputs import engine_input
from deployments.postprocess.postprocessor import Postprocessor
from deployments.types import FinishReason, Generation, PageRequest

if TYPE_CHECKING:
    from benchmarks.gpu.engine import Fed

VISION_BATCHES = (1, 2, 4, 7)
"""Pages; 7 is what a step of 8,192 tokens takes."""

DECODE_STEPS = 160
PIECE = 64
"""Tokens that come at once for a page that nobody watches."""


async def measure(spec: Spec, fed: "Fed") -> dict[str, Any]:
    """Return milliseconds a page of each part; those of the GPU by batch size where that matters."""
    mean = spec.phases[0].mean_tokens
    parts: dict[str, Callable[[], Any]] = {
        "prepare": lambda: _prepare(spec, fed),
        "transport": lambda: _transport(fed),
        "vision": lambda: _vision(spec, fed),
        "prefill": lambda: _prefill(fed),
        "decode": lambda: _decode(fed, mean),
        "after": lambda: _after(fed, int(mean)),
    }
    found: dict[str, Any] = {"mean_tokens": mean}
    for name, part in parts.items():
        try:
            figures = part()
            found |= await figures if inspect.isawaitable(figures) else figures
        except Exception as error:  # a part that can't be measured does not cost the others theirs
            found[f"{name}_failed"] = repr(error)
    return found


def _prepare(spec: Spec, fed: "Fed") -> dict[str, float]:
    """Drawing and tiling, on one core."""
    data = Path(spec.pages_pdf).read_bytes()
    prepare = preprocessor(spec.model, view_settings(fed.engine.settings, spec.options)).prepare
    numbers = range(min(spec.distinct_pages, 12))
    with pymupdf.open(stream=data) as document:
        drawn = _ms(lambda number: document[number].get_pixmap(dpi=DPI, alpha=False), numbers)
    whole = _ms(lambda number: prepare(data, number, PageRequest(dpi=DPI)), numbers)
    return {"rasterise_ms_per_page": drawn, "preprocess_ms_per_page": round(whole - drawn, 2)}


def _transport(fed: "Fed") -> dict[str, float]:
    """From the engine's process to its core's: message packing on one side, unpacking on the other."""
    views = [page.views for page in fed.prepared[:8] if page.views]
    encoder, decoder = MsgpackEncoder(), MsgpackDecoder(EngineCoreRequest)
    process = fed.engine._llm.input_processor.process_inputs

    def send(number: int) -> None:
        page = engine_input(views[number], fed.engine._vision)
        request = process(str(number), page, SamplingParams(max_tokens=1), ("generate",))
        decoder.decode([bytes(part) for part in encoder.encode(request)])

    return {"transport_to_core_ms_per_page": _ms(send, range(len(views)))}


async def _vision(spec: Spec, fed: "Fed") -> dict[str, Any]:
    """The tower and its projector, from uint8 views to embeddings."""
    settings, views = fed.engine.settings, fed.prepared[0].views
    tiles = views.grid.tiles if views else 0
    found = {}
    for pages in spec.options.get("vision_batches", VISION_BATCHES):
        seconds = await fed.engine.probe(
            "probe_vision", pages, tiles, settings.base_size, settings.image_size, 5
        )
        found[str(pages)] = round(seconds * 1_000 / pages, 2)
    return {"vision_ms_per_page": found}


async def _prefill(fed: "Fed") -> dict[str, float]:
    """The language model over prompts of a page's length, without vision."""
    pages = max(fed.max_num_seqs // 2, 1)
    began = time.perf_counter()
    await asyncio.gather(*(fed.prime(UnderWay(0, 1), 0) for _ in range(pages)))
    return {"prefill_ms_per_page": round((time.perf_counter() - began) * 1_000 / pages, 2)}


async def _decode(fed: "Fed", mean: float) -> dict[str, float]:
    """Writing with every place taken, at the mean context of a page."""
    steps = fed.meter.steps
    steps.clear()
    pages = fed.max_num_seqs
    await asyncio.gather(*(fed.prime(UnderWay(int(mean / 2), DECODE_STEPS), 20) for _ in range(pages)))
    last_prefilled = max(step.time for step in steps if step.prefilled)
    tokens: dict[float, int] = {}
    for step in steps:
        if step.time > last_prefilled:
            tokens[step.core_time] = tokens.get(step.core_time, 0) + step.tokens
    whole = [core_time for core_time, count in tokens.items() if count == pages]
    if len(whole) < 2:
        return {}
    step_s = statistics.median(b - a for a, b in itertools.pairwise(whole))
    return {
        "decode_step_ms": round(step_s * 1_000, 2),
        "decode_ms_per_page": round(step_s * 1_000 / pages * mean, 2),
    }


def _after(fed: "Fed", tokens: int) -> dict[str, float]:
    """What happens to the tokens on the CPU."""
    rng = np.random.default_rng(0)
    settings, tokenizer = fed.engine.settings, fed.engine._tokenizer
    answers = [rng.integers(1_000, 100_000, tokens).tolist() for _ in range(20)]
    pieces = range(0, tokens, PIECE)

    def detokenise(number: int) -> None:
        text = TextStream(tokenizer)
        for start in pieces:
            text.push(answers[number][start : start + PIECE])

    def watch(number: int) -> None:
        detector = RunawayDetector(settings.runaway)
        for start in pieces:
            detector.push(answers[number][start : start + PIECE])

    page, post = fed.prepared[0], Postprocessor()
    text = _markup(tokenizer, tokens)
    generation = Generation(text, FinishReason.STOP, output_tokens=tokens)
    return {
        "detokenise_ms_per_page": _ms(detokenise, range(20)),
        "runaway_detection_ms_per_page": _ms(watch, range(20)),
        "postprocess_ms_per_page": _ms(lambda _: post.process(page, generation), range(20)),
    }


def _markup(tokenizer: Any, tokens: int) -> str:
    """Markup of about so many tokens, as the model writes it: a block every hundred or so."""
    block = (
        "<|ref|>text<|/ref|><|det|>[[80, {y}, 920, {below}]]<|/det|>\n"
        + "plain words of a paragraph " * 18
        + "\n\n"
    )
    text, y = "", 0
    while len(tokenizer.encode(text, add_special_tokens=False).ids) < tokens:
        text += block.format(y=y % 900, below=y % 900 + 60)
        y += 70
    return text


def _ms(call: Callable[[int], Any], numbers: range) -> float:
    """Return the median milliseconds of a call over `numbers`, after one that does not count."""
    call(numbers[0])
    times = []
    for number in numbers:
        began = time.perf_counter()
        call(number)
        times.append(time.perf_counter() - began)
    return round(statistics.median(times) * 1_000, 2)
