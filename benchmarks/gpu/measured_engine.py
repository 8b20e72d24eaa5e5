"""The project's own vLLM engine, made to write answers of set lengths.

What differs from production: the end-of-sentence token does not end an answer (random weights write
it at random), and runaway detection looks at every token but never finds anything (random weights
loop). Both still cost what they cost.
"""

import uuid
from contextlib import aclosing
from typing import Any

import numpy as np
from vllm import SamplingParams
from vllm.inputs import tokens_input
from vllm.sampling_params import RequestOutputKind

from benchmarks.gpu.agreement import LIKELIEST, Choice
from benchmarks.gpu.lengths import UnderWay
from benchmarks.gpu.meter import Meter
from deployments.model.vllm.engine import VllmEngine
from deployments.model.vllm.settings import VllmSettings
from deployments.types import GenerationOptions, PreparedPage


class MeasuredEngine(VllmEngine):
    """See the module; `GenerationOptions.max_tokens` is the number of tokens that it writes.

    Args:
        settings: as `engine_settings` makes them.
    """

    def __init__(self, settings: VllmSettings) -> None:
        super().__init__(settings)
        self.settings = settings
        self.meter = Meter(self._llm)
        self._words = np.random.default_rng(0)

    def _arguments(self, folder: str) -> Any:
        arguments = super()._arguments(folder)
        arguments.worker_extension_cls = "benchmarks.gpu.probe.Probe"
        return arguments

    def _sampling(self, options: GenerationOptions, prompt_tokens: int) -> SamplingParams:
        params = super()._sampling(options, prompt_tokens)
        params.ignore_eos = True
        return params

    async def prime(self, page: UnderWay, options: GenerationOptions, prompt_tokens: int) -> int:
        """Write the rest of a half-written page: what it has so far stands in the prompt, as text."""
        length = prompt_tokens + page.written
        prompt = tokens_input(self._words.integers(1_000, 100_000, length).tolist())
        params = self._sampling(options, length)
        params.max_tokens = max(page.left, 1)
        params.output_kind = RequestOutputKind.FINAL_ONLY
        written = 0
        async for output in self._llm.generate(prompt, params, uuid.uuid4().hex):
            written += len(output.outputs[0].token_ids)
        return written

    async def answer(self, page: PreparedPage, length: int) -> list[Choice]:
        """Return the first tokens of a page's answer, the likeliest each time, without the no-repeat rule."""
        options = GenerationOptions(max_tokens=length, stream=False, ngram_size=0)
        assert page.views is not None  # noqa: S101 - for the type checker; pages are prepared for this engine
        params = self._sampling(options, len(page.views.token_ids))
        params.logprobs = LIKELIEST
        choices: list[Choice] = []
        async with aclosing(self._outputs(page, params, paced=False)) as outputs:
            async for output in outputs:
                answer = output.outputs[0]
                for token, seen in zip(answer.token_ids, answer.logprobs, strict=True):
                    choices.append((token, {other: found.logprob for other, found in seen.items()}))
        return choices

    async def probe(self, method: str, *args: Any) -> Any:
        """Call a method of `benchmarks.gpu.probe.Probe` in the worker."""
        return (await self._llm.collective_rpc(method, args=args))[0]
