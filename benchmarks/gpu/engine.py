"""Mode `engine`: the project's vLLM engine, fed with prepared pages in one process."""

import asyncio
import time
from pathlib import Path
from typing import Any

from benchmarks.gpu import agreement, breakdown, pages
from benchmarks.gpu.engine_settings import engine_settings, view_settings
from benchmarks.gpu.lengths import UnderWay
from benchmarks.gpu.load import Answer, run_phase
from benchmarks.gpu.measured_engine import MeasuredEngine
from benchmarks.gpu.spec import Spec
from deployments.model.engine import read_page
from deployments.types import GenerationOptions, PreparedPage

COMPARED_TOKENS = 64
"""Of each answer that runs are compared by."""


class Fed:
    """The engine with its prepared pages, as a target of load.

    Args:
        engine: under load.
        prepared: the pages, read again and again; vLLM's caches are off, so each time is the first.
    """

    def __init__(self, engine: MeasuredEngine, prepared: list[PreparedPage]) -> None:
        self.engine, self.prepared = engine, prepared
        self.meter = engine.meter
        self.max_num_seqs = engine.settings.max_num_seqs
        self.prompt_tokens = max(len(page.views.token_ids) for page in prepared if page.views)
        self.longest = engine.settings.max_model_len - self.prompt_tokens - 1

    async def read(self, number: int, length: int, ngram_size: int) -> Answer:
        """See `Target.read`."""
        page = self.prepared[number % len(self.prepared)]
        options = GenerationOptions(max_tokens=length, stream=False, ngram_size=ngram_size)
        generation = await read_page(self.engine, page, options)
        return Answer(generation.output_tokens, generation.finish_reason)

    async def prime(self, page: UnderWay, ngram_size: int) -> int:
        """See `Target.prime`."""
        options = GenerationOptions(stream=False, ngram_size=ngram_size)
        return await self.engine.prime(page, options, self.prompt_tokens)


def main() -> None:
    """Measure what the command line's spec says."""
    spec = Spec.from_command_line()
    settings = engine_settings(spec.model, spec.vllm)
    views = view_settings(settings, spec.options)
    prepared = pages.prepared_pages(Path(spec.pages_pdf), spec.distinct_pages, spec.model, views)
    began = time.time()
    engine = MeasuredEngine(settings)
    result: dict[str, Any] = {"start_s": round(time.time() - began, 1), "phases": {}}
    asyncio.run(_measure(spec, Fed(engine, prepared), result))


async def _measure(spec: Spec, fed: Fed, result: dict[str, Any]) -> None:
    """Run the phases, then look at the parts; what is known so far is on disk at any time."""
    result["prompt_tokens"] = fed.prompt_tokens
    try:
        await fed.read(0, 8, 20)
        for phase in spec.phases:
            result["phases"][phase.label] = await run_phase(spec, phase, fed)
            spec.write_result(result)
        if pages_to_compare := spec.options.get("answers", 0):
            # One page at a time, so that a batch's make-up does not decide how sums are rounded.
            answers = [
                await fed.engine.answer(fed.prepared[number % len(fed.prepared)], COMPARED_TOKENS)
                for number in range(pages_to_compare)
            ]
            result["answers"] = agreement.as_json(answers)
            spec.write_result(result)
        if spec.breakdown:
            result["breakdown"] = await breakdown.measure(spec, fed)
            spec.write_result(result)
        spec.complete_path.touch()
    finally:
        await fed.engine.close()


if __name__ == "__main__":
    main()
