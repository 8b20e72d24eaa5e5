"""An engine that notes each page in a file: for the modes where the engine runs in a Ray process.

Nobody there says how long an answer is to be, so the engine draws the lengths itself, page by page in
the order in which they come. What the answers say does not matter; that they ended is reported as `stop`,
lest a page is tried again.
"""

import json
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.gpu.lengths import page_lengths, pages_under_way
from benchmarks.gpu.load import Visit
from benchmarks.gpu.meter import Step
from deployments.model.vllm.settings import VllmSettings
from deployments.types import FinishReason, Generation, GenerationOptions, PreparedPage

PROMPT_TOKENS = 1_130


@dataclass(frozen=True)
class EnginePlan:
    """What the engine's process needs to make the engine; it imports vLLM there and not before.

    Attributes:
        settings: of the engine.
        path: of the journal.
        mean_tokens: of an answer.
        seed: of the lengths.
        primed: whether the first pages are short, as if half written already.
    """

    settings: VllmSettings
    path: str
    mean_tokens: float
    seed: int
    primed: bool

    def lengths(self) -> list[int]:
        """Return the answers' lengths."""
        longest = self.settings.max_model_len - PROMPT_TOKENS - 1
        lengths: list[int] = page_lengths(20_000, self.mean_tokens, self.seed, longest).tolist()
        if not self.primed:
            return lengths
        first = pages_under_way(self.settings.max_num_seqs, self.mean_tokens, self.seed, longest)
        return [max(page.left, 1) for page in first] + lengths

    def __call__(self) -> Any:
        """Make the engine."""
        from benchmarks.gpu.measured_engine import MeasuredEngine

        plan = self

        class JournalingEngine(MeasuredEngine):
            """See the module."""

            def __init__(self) -> None:
                super().__init__(plan.settings)
                self._lengths = plan.lengths()
                self._begun = 0
                self._journal = Path(plan.path).open("a", buffering=1)  # noqa: SIM115 - as long as the process

            async def generate(
                self, page: PreparedPage, options: GenerationOptions
            ) -> AsyncGenerator[str | Generation, None]:
                length = self._lengths[self._begun % len(self._lengths)]
                self._begun += 1
                sent = time.time()
                self.meter.steps.clear()
                async with aclosing(super().generate(page, replace(options, max_tokens=length))) as pieces:
                    async for piece in pieces:
                        if isinstance(piece, str):
                            yield piece
                            continue
                        counted = (self.meter.tokens, self.meter.prefilled)
                        note = Note(sent, time.time(), piece.output_tokens, length, *counted)
                        self._journal.write(json.dumps(note) + "\n")
                        yield replace(piece, finish_reason=FinishReason.STOP)

        return JournalingEngine()


class Note(NamedTuple):
    """One page in the journal, and what the engine's core had handed out by then."""

    sent: float
    done: float
    tokens: int
    asked: int
    all_tokens: int
    all_prefilled: int


def read_journal(path: Path) -> tuple[list[Visit], list[Step]]:
    """Return the pages, and what the core handed out between each end and the next."""
    notes = [Note(*json.loads(line)) for line in path.read_text().splitlines()]
    visits = [Visit(note.sent, note.done, note.tokens, note.asked, primer=False) for note in notes]
    steps, tokens, prefilled = [], 0, 0
    for note in notes:
        steps.append(Step(note.done, note.done, 0, note.all_tokens - tokens, note.all_prefilled - prefilled))
        tokens, prefilled = note.all_tokens, note.all_prefilled
    return visits, steps
