"""An engine whose clients say, in the prompt, how long each answer is to be.

A page with the prompt of `asking` gets an answer of so many tokens, also when it is tried again; one with
the prompt of `priming` becomes a half-written page without a picture, as an engine in its steady state
is found to have. Beside that the engine notes, every 50 ms, what its core has done so far.
"""

import json
import re
import threading
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.gpu.journal import PROMPT_TOKENS
from benchmarks.gpu.lengths import UnderWay
from benchmarks.gpu.meter import Step
from deployments.model.vllm.settings import VllmSettings
from deployments.types import FinishReason, Generation, GenerationOptions, PreparedPage

INTERVAL_S = 0.05
_ASKED = re.compile(r"Write (\d+) tokens\.")
_PRIMED = re.compile(r"Write (\d+) tokens after (\d+)\.")


def asking(tokens: int) -> str:
    """Return the prompt for an answer of so many tokens."""
    return f"<image>\nWrite {tokens} tokens."


def priming(page: UnderWay) -> str:
    """Return the prompt for the rest of a half-written page."""
    return f"<image>\nWrite {max(page.left, 1)} tokens after {page.written}."


class Count(NamedTuple):
    """What an engine had done at a time of `time.time()`, and the pages that it had under way then."""

    time: float
    tokens: int
    prefilled: int
    pages: int


@dataclass(frozen=True)
class AskedEngine:
    """Makes the engine, in its own process; vLLM is imported there and not before.

    Attributes:
        settings: of the engine.
        out: folder of its counts, a file for each process.
    """

    settings: VllmSettings
    out: str

    def __call__(self) -> Any:
        """Make the engine."""
        from benchmarks.gpu.measured_engine import MeasuredEngine

        plan = self

        class Engine(MeasuredEngine):
            """See the module."""

            def __init__(self) -> None:
                super().__init__(plan.settings)
                threading.Thread(target=self._note, daemon=True).start()

            async def generate(
                self, page: PreparedPage, options: GenerationOptions
            ) -> AsyncGenerator[str | Generation, None]:
                if found := _PRIMED.search(page.prompt):
                    left, written = int(found[1]), int(found[2])
                    tokens = await self.prime(UnderWay(written, left), options, PROMPT_TOKENS)
                    yield Generation("", FinishReason.LENGTH, PROMPT_TOKENS + written, tokens)
                    return
                if found := _ASKED.search(page.prompt):
                    options = replace(options, max_tokens=int(found[1]))
                async with aclosing(super().generate(page, options)) as pieces:
                    async for piece in pieces:
                        if isinstance(piece, Generation):  # random weights may loop; no page is tried again
                            piece = replace(piece, finish_reason=FinishReason.LENGTH)  # noqa: PLW2901
                        yield piece

            def _note(self) -> None:
                path = Path(plan.out) / f"engine-{time.time():.0f}.jsonl"
                with path.open("a", buffering=1) as counts:
                    while not self._closed:
                        under_way = self._llm.output_processor.get_num_unfinished_requests()
                        count = Count(time.time(), self.meter.tokens, self.meter.prefilled, under_way)
                        counts.write(json.dumps(count) + "\n")
                        self.meter.steps.clear()
                        time.sleep(INTERVAL_S)

        return Engine()


def engines(out: Path) -> list[Path]:
    """Return the counts' files, the oldest engine's first."""
    return sorted(out.glob("engine-*.jsonl"))


def last_count(path: Path) -> Count | None:
    """Return an engine's newest count."""
    with path.open("rb") as counts:
        counts.seek(max(path.stat().st_size - 400, 0))
        lines = counts.read().split(b"\n")[:-1]
    return Count(*json.loads(lines[-1])) if lines and lines[-1].startswith(b"[") else None


def steps(path: Path) -> list[Step]:
    """Return what an engine did between each count and the next."""
    counts = [Count(*json.loads(line)) for line in path.read_text().splitlines() if line.endswith("]")]
    return [
        Step(now.time, now.time, now.pages, now.tokens - then.tokens, now.prefilled - then.prefilled)
        for then, now in pairwise(counts)
    ]
