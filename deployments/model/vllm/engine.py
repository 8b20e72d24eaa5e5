"""The `vllm` engine: the real model on a GPU, through vLLM's `AsyncLLM`.

`AsyncLLM` runs its scheduler, model and detokeniser-free output in a core process of its own; here,
on the caller's event loop, remain the sending of a page and the reading of its tokens. A Serve replica
already runs user code on a loop of its own, beside the one that answers health checks, and all of this
is Python under one interpreter lock: a further thread would add hand-overs and no parallelism.
So `generate` is to be called from one loop only, and the constructor, which blocks while the model
loads, from wherever waiting is allowed.
"""

import asyncio
import math
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from time import perf_counter
from typing import TYPE_CHECKING, ClassVar

from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.sampling_params import RequestOutputKind, SamplingParams
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.engine.exceptions import EngineDeadError, EngineGenerateError

from deployments.errors import EngineUnavailable, GenerationFailed, InvalidRequest
from deployments.model.runaway import RunawayDetector
from deployments.model.vllm import compat, plugin
from deployments.model.vllm.detokenize import TextStream
from deployments.model.vllm.inputs import engine_input
from deployments.model.vllm.ngram import ARG_SIZE, ARG_WINDOW
from deployments.model.vllm.preflight import check, locate
from deployments.model.vllm.scheduler import GROUP, scheduler_class
from deployments.model.vllm.settings import VllmSettings
from deployments.model.vllm.vision_config import VisionConfig
from deployments.types import EngineInput, FinishReason, Generation, GenerationOptions, PreparedPage

if TYPE_CHECKING:
    from vllm.outputs import RequestOutput

EOS = 1
"""End of sentence: the model's `eos_token_id`."""

SHUTDOWN_S = 20.0
"""How long the core may take to end before it is killed."""

BULK_INTERVAL = 64
"""Tokens between two looks at an answer that nobody watches, where vLLM can be told per request."""


class VllmEngine:
    """Implements `deployments.model.engine.Engine`.

    Args:
        settings: see there.

    Raises:
        ConfigurationError: something is known not to work before the model is loaded.
        EngineUnavailable: vLLM failed to start.
    """

    name: ClassVar[str] = "vllm"
    takes: ClassVar[EngineInput] = EngineInput.VIEWS

    def __init__(self, settings: VllmSettings) -> None:
        folder, commit = locate(settings)
        self.model, self.revision = settings.model, commit or settings.revision
        self._settings = settings
        self._tokenizer = check(settings, folder)
        compat.set_environment(settings)
        compat.patch_sampler()  # here too: where vLLM's processes are forked, they inherit it
        self._closed = False
        self._running: set[str] = set()
        try:
            self._llm = AsyncLLM.from_engine_args(self._arguments(str(folder)))
        except Exception as error:  # vLLM and what it loads raise all kinds; the cause is kept
            raise EngineUnavailable(
                f"vLLM did not start: {error}. If the GPU's memory ran out, lower gpu_memory_utilization or "
                "max_num_seqs; the log above has the cause."
            ) from error
        self._processes = compat.core_processes(self._llm)
        self._vision = VisionConfig.from_hf(self._llm.model_config.hf_config)

    def _arguments(self, folder: str) -> AsyncEngineArgs:
        settings = self._settings
        plans_ahead = compat.plans_ahead(settings)
        return AsyncEngineArgs(
            model=folder,
            served_model_name=settings.model,
            load_format=settings.load_format,
            dtype=settings.dtype,
            quantization=settings.quantization,
            kv_cache_dtype=settings.kv_cache_dtype,
            gpu_memory_utilization=settings.gpu_memory_utilization,
            kv_cache_memory_bytes=settings.kv_cache_memory_bytes,
            max_model_len=settings.max_model_len,
            max_num_seqs=settings.max_num_seqs,
            max_num_batched_tokens=settings.max_num_batched_tokens,
            tensor_parallel_size=settings.tensor_parallel_size,
            enforce_eager=settings.enforce_eager,
            async_scheduling=plans_ahead,
            scheduler_cls=scheduler_class(plans_ahead),
            max_cudagraph_capture_size=None if settings.enforce_eager else settings.max_num_seqs,
            stream_interval=settings.stream_interval,
            additional_config={GROUP: settings.pages_read_together, **settings.additional_config},
            hf_overrides=plugin.HF_OVERRIDES,
            logits_processors=compat.processors(settings),
            generation_config="vllm",  # sampling is ours to say, not a file's
            limit_mm_per_prompt={"image": 1},
            mm_processor_cache_gb=0,
            enable_prefix_caching=False,
            disable_log_stats=True,
        )

    async def generate(
        self, page: PreparedPage, options: GenerationOptions
    ) -> AsyncGenerator[str | Generation, None]:
        """See `Engine.generate`; without `options.stream` the pieces before the `Generation` are empty.

        Raises:
            InvalidRequest: the prompt leaves no room for an answer.
            GenerationFailed: the page has no views, or vLLM failed on it.
            EngineUnavailable: the engine died or is closed.
        """
        began = perf_counter()
        if self._closed:
            raise EngineUnavailable("The engine is closed. Try again later.")
        if page.views is None:
            raise GenerationFailed(
                "The page reached the vllm engine without its views. This is a fault of the server."
            )
        prompt_tokens = len(page.views.token_ids)
        params = self._sampling(options, prompt_tokens)
        detector = RunawayDetector(self._settings.runaway) if self._settings.runaway.enabled else None
        text, pieces, count, log_probability = TextStream(self._tokenizer), [], 0, None
        reason: FinishReason | None = None

        async with aclosing(self._outputs(page, params, options.stream)) as outputs:
            async for output in outputs:
                answer = output.outputs[0]
                tokens = list(answer.token_ids)
                count += len(tokens)
                log_probability = answer.cumulative_logprob
                reason = _finish_reason(answer.finish_reason)
                if reason is FinishReason.STOP and tokens[-1:] == [EOS]:
                    tokens.pop()
                if detector is not None:
                    loops = detector.push(tokens) or (reason is FinishReason.LENGTH and detector.looping)
                    if loops and reason is not FinishReason.STOP:
                        reason = FinishReason.RUNAWAY
                piece = text.push(tokens, final=reason is not None)
                pieces.append(piece)
                if not options.stream:
                    yield ""  # a sign of life
                elif piece:
                    yield piece
                if reason is not None:
                    break
        if reason is None:
            raise EngineUnavailable("The engine was closed while it read this page. Try again later.")
        yield Generation(
            text="".join(pieces),
            finish_reason=reason,
            prompt_tokens=prompt_tokens,
            output_tokens=count,
            confidence=_confidence(log_probability, count) if options.confidence else None,
            seconds=perf_counter() - began,
        )

    async def _outputs(
        self, page: PreparedPage, params: SamplingParams, paced: bool
    ) -> AsyncGenerator["RequestOutput", None]:
        """Outputs of vLLM for a page, its errors turned into ours; closing this aborts the request.

        If `paced`, outputs are read no more often than a stream's pieces are sent: what vLLM has
        meanwhile is merged by vLLM.
        """
        assert page.views is not None  # noqa: S101 - for the type checker; `generate` has looked
        interval = self._settings.delta_interval_ms / 1_000 if paced else 0.0
        request_id = uuid.uuid4().hex
        self._running.add(request_id)
        try:
            async with aclosing(
                self._llm.generate(engine_input(page.views, self._vision), params, request_id)
            ) as outputs:
                async for output in outputs:
                    yield output
                    if interval and not output.finished:
                        await asyncio.sleep(interval)
        except EngineDeadError as error:
            raise EngineUnavailable("The engine died while it read this page. Try again later.") from error
        except (EngineGenerateError, ValueError) as error:
            raise GenerationFailed("The engine failed on this page; its log has the cause.") from error
        finally:
            self._running.discard(request_id)

    def _sampling(self, options: GenerationOptions, prompt_tokens: int) -> SamplingParams:
        room = self._settings.max_model_len - prompt_tokens
        if room < 1:
            raise InvalidRequest(
                f"The prompt takes {prompt_tokens} of the model's {self._settings.max_model_len} tokens and "
                "leaves no room for an answer. Shorten it.",
                param="prompt",
            )
        return SamplingParams(
            temperature=options.temperature,
            max_tokens=min(options.max_tokens or room, room),
            logprobs=0 if options.confidence else None,
            detokenize=False,
            skip_special_tokens=False,
            output_kind=RequestOutputKind.DELTA,
            extra_args={ARG_SIZE: options.ngram_size, ARG_WINDOW: options.ngram_window}
            if options.ngram_size >= 2
            else None,
            **compat.sampling_options(self._settings.stream_interval if options.stream else BULK_INTERVAL),
        )

    async def check_health(self) -> None:
        """See `Engine.check_health`.

        Raises:
            EngineUnavailable: the core process died, or the engine is closed.
        """
        if self._closed:
            raise EngineUnavailable("The engine is closed.")
        try:
            await self._llm.check_health()
        except EngineDeadError as error:
            raise EngineUnavailable(
                "The engine's core process died; this replica must be replaced."
            ) from error

    async def close(self) -> None:
        """Abort what runs, end the core process and wait for it; its GPU memory is free afterwards."""
        if self._closed:
            return
        self._closed = True
        if not self._llm.errored:
            await self._llm.abort(list(self._running))
        self._llm.shutdown()
        for process in self._processes:
            await asyncio.to_thread(process.join, SHUTDOWN_S)
            if process.is_alive():
                process.kill()
                await asyncio.to_thread(process.join)
        del self._llm  # its finaliser would shut down once more, at the interpreter's end, and fail


def _finish_reason(reason: str | None) -> FinishReason | None:
    """Translate vLLM's word; None while it writes, and for a request that `close` aborted."""
    match reason:
        case "stop":
            return FinishReason.STOP
        case "length":
            return FinishReason.LENGTH
        case "repetition":
            return FinishReason.RUNAWAY
        case "error":
            raise GenerationFailed("The engine failed on this page; its log has the cause.")
        case _:
            return None


def _confidence(log_probability: float | None, tokens: int) -> float | None:
    """The geometric mean of the tokens' probabilities."""
    if log_probability is None or not tokens:
        return None
    return math.exp(log_probability / tokens)
