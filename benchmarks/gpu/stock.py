"""Modes `stock` and `stock-cached-mask`: vLLM's own `deepseek_ocr2`, as well set as its settings allow.

PIL images go in. vLLM's offline `LLM` renders prompts one after the other, so this uses `AsyncLLM` with
several renderer threads, which vLLM allows where its processor cache is off (no page comes twice, so
the cache would only cost). Nothing of the project runs here.
"""

import asyncio
import importlib.util
import itertools
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from vllm import SamplingParams
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.inputs import tokens_input
from vllm.sampling_params import RequestOutputKind
from vllm.v1.engine.async_llm import AsyncLLM

from benchmarks.gpu.engine_settings import load_format
from benchmarks.gpu.lengths import UnderWay
from benchmarks.gpu.load import Answer, run_phase
from benchmarks.gpu.meter import Meter
from benchmarks.gpu.pages import page_images
from benchmarks.gpu.spec import Spec

PROMPT = "<image>\n<|grounding|>Convert the document to markdown."
TABLE_CELLS = (128821, 128822)
WINDOW = 90
PROMPT_TOKENS = 1_130
GRID = (2, 3)
"""Columns and rows of the benchmark's pages."""

BEST: dict[str, Any] = {
    "dtype": "bfloat16",
    "max_model_len": 8_192,
    "max_num_seqs": 512,
    "max_num_batched_tokens": 16_384,
    "gpu_memory_utilization": 0.9,
    "renderer_num_workers": 8,
    "mm_processor_cache_gb": 0,
    "enable_prefix_caching": False,
    "limit_mm_per_prompt": {"image": 1},
    "logits_processors": ["vllm.model_executor.models.deepseek_ocr:NGramPerReqLogitsProcessor"],
    "disable_log_stats": True,
}


class Stock:
    """vLLM as it comes, as a target of load.

    Args:
        model: folder.
        settings: of `AsyncEngineArgs`, on top of `BEST`.
        images: the pages, read again and again.
        cached_mask: whether the attention mask is built once, as from vLLM 0.32 on.
    """

    def __init__(
        self, model: str, settings: dict[str, Any], images: list[Image.Image], *, cached_mask: bool
    ) -> None:
        extension = "benchmarks.gpu.stock_mask.CachedMask" if cached_mask else "benchmarks.gpu.probe.Probe"
        given = {"model": model, "load_format": load_format(model), "worker_extension_cls": extension}
        arguments = {**BEST, **given, **settings}
        self.llm = AsyncLLM.from_engine_args(AsyncEngineArgs(**arguments))
        self.meter = Meter(self.llm)
        self.max_num_seqs: int = arguments["max_num_seqs"]
        self.longest: int = arguments["max_model_len"] - PROMPT_TOKENS - 1
        self._images = images
        self._ids = map(str, itertools.count())
        self._words = np.random.default_rng(0)

    async def read(self, number: int, length: int, ngram_size: int) -> Answer:
        """See `Target.read`; the picture is rendered by vLLM."""
        prompt = {"prompt": PROMPT, "multi_modal_data": {"image": self._images[number % len(self._images)]}}
        (rendered,) = await self.llm.renderer.render_cmpl_async([prompt])
        return await self._answer(rendered, length, ngram_size)

    async def prime(self, page: UnderWay, ngram_size: int) -> int:
        """See `Target.prime`; what the page has so far stands in the prompt, as text."""
        words = self._words.integers(1_000, 100_000, PROMPT_TOKENS + page.written).tolist()
        return (await self._answer(tokens_input(words), max(page.left, 1), ngram_size)).tokens

    async def _answer(self, prompt: Any, length: int, ngram_size: int) -> Answer:
        params = SamplingParams(
            temperature=0,
            max_tokens=length,
            ignore_eos=True,
            skip_special_tokens=False,
            output_kind=RequestOutputKind.FINAL_ONLY,
            extra_args={
                "ngram_size": ngram_size,
                "window_size": WINDOW,
                "whitelist_token_ids": list(TABLE_CELLS),
            }
            if ngram_size
            else None,
        )
        tokens, reason = 0, ""
        async for output in self.llm.generate(prompt, params, next(self._ids)):
            tokens += len(output.outputs[0].token_ids)
            reason = output.outputs[0].finish_reason or ""
        return Answer(tokens, reason)


def main() -> None:
    """Measure what the command line's spec says."""
    if importlib.util.find_spec("torchvision") is None:
        raise SystemExit("skipped: vLLM's own deepseek_ocr2 needs torchvision, which is not installed")
    spec = Spec.from_command_line()
    images = page_images(Path(spec.pages_pdf), spec.distinct_pages)
    began = time.time()
    stock = Stock(spec.model, spec.vllm, images, cached_mask=spec.mode == "stock-cached-mask")
    result: dict[str, Any] = {"start_s": round(time.time() - began, 1), "phases": {}}
    try:
        asyncio.run(_measure(spec, stock, result))
    finally:
        stock.llm.shutdown()


async def _measure(spec: Spec, stock: Stock, result: dict[str, Any]) -> None:
    """Time one page's vision, then run the phases."""
    await stock.read(0, 8, 20)
    if spec.breakdown:
        (seconds,) = await stock.llm.collective_rpc("probe_stock_vision", args=(GRID, 1_024, 768, 5))
        result["breakdown"] = {"vision_ms_per_page": {"1": round(seconds * 1_000, 2)}}
    for phase in spec.phases:
        result["phases"][phase.label] = await run_phase(spec, phase, stock)
        spec.write_result(result)
    spec.complete_path.touch()


if __name__ == "__main__":
    main()
