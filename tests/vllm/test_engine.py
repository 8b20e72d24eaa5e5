"""The engine as its users see it: vLLM's CPU build, real processes, a tiny model with random weights."""

import asyncio
import os
import signal
from dataclasses import replace

import numpy as np
import psutil
import pytest

pytest.importorskip("vllm")

from deployments.errors import EngineUnavailable, GenerationFailed, InvalidRequest
from deployments.model.runaway import RunawaySettings
from deployments.model.vllm.engine import VllmEngine
from deployments.model.vllm.settings import VllmSettings
from deployments.types import FinishReason, Generation, GenerationOptions
from tests.vllm.pages import page
from tests.vllm.test_ngram import reference
from tests.vllm.tiny_model import write_model

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(300)]

STREAM_INTERVAL = 4
SHORT = GenerationOptions(max_tokens=40)


def start(folder):
    return VllmEngine(
        VllmSettings(
            model=str(folder),
            base_size=256,
            image_size=192,
            dtype="float32",
            enforce_eager=True,
            kv_cache_memory_bytes=2**28,
            max_num_seqs=2,
            max_num_batched_tokens=2048,
            stream_interval=STREAM_INTERVAL,
            delta_interval_ms=10,
            runaway=RunawaySettings(min_tokens=96),
            additional_config={"vision": {"view_batches": [1], "tile_batches": [2]}},
        )
    )


@pytest.fixture(scope="module")
def engine(model_folder, loop):
    os.environ["OMP_NUM_THREADS"] = "1"
    engine = start(model_folder)
    yield engine
    loop(engine.close())


async def read(engine, page, options=SHORT):
    *pieces, generation = [item async for item in engine.generate(page, options)]
    assert isinstance(generation, Generation)
    assert all(isinstance(piece, str) and bool(piece) == options.stream for piece in pieces)
    return pieces, generation


async def tokens_of(engine, page, options):
    params = engine._sampling(options, len(page.views.token_ids))
    return [
        token
        async for output in engine._outputs(page, params, paced=False)
        for token in output.outputs[0].token_ids
    ]


async def begun(engine, count):
    """Wait until so many pages have their first token."""
    states = engine._llm.output_processor.request_states
    while sum(not s.is_prefilling for s in states.values()) < count:  # noqa: ASYNC110 - vLLM has no event
        await asyncio.sleep(0.01)


async def unfinished(engine):
    return engine._llm.output_processor.get_num_unfinished_requests()


def test_a_page_comes_in_pieces_that_join_to_its_text(engine, loop):
    pieces, generation = loop(read(engine, page(tiles=2)))
    assert "".join(pieces) == generation.text
    assert 1 < len(pieces) <= 2 + 40 // STREAM_INTERVAL
    assert generation.finish_reason is FinishReason.LENGTH
    assert generation.prompt_tokens == 1 + 2 * 144 + 257 + 3
    assert generation.output_tokens == 40
    assert generation.confidence is None
    assert generation.seconds > 0


def test_without_streaming_the_text_is_the_same(engine, loop):
    _, streamed = loop(read(engine, page(tiles=2)))
    pieces, whole = loop(read(engine, page(tiles=2), GenerationOptions(max_tokens=40, stream=False)))
    assert pieces
    assert set(pieces) == {""}, "signs of life alone"
    assert whole.text == streamed.text


def test_the_text_is_the_decoded_tokens(engine, loop):
    tokens = loop(tokens_of(engine, page(tiles=1), SHORT))
    _, generation = loop(read(engine, page(tiles=1)))
    assert generation.text == engine._tokenizer.decode(tokens, skip_special_tokens=False)


def test_pages_read_together_come_out_as_alone(engine, loop):
    pages = [page(tiles=2, seed=1), page(tiles=0, seed=2), page(tiles=6, seed=3)]

    async def together():
        return await asyncio.gather(*(read(engine, p) for p in pages))

    alone = [loop(read(engine, p))[1].text for p in pages]
    assert [generation.text for _, generation in loop(together())] == alone
    assert len(set(alone)) == len(alone)


def test_confidence_is_a_probability(engine, loop):
    _, generation = loop(read(engine, page(), GenerationOptions(max_tokens=20, confidence=True)))
    assert 0 < generation.confidence <= 1


def test_no_ngram_repeats_and_nothing_else_changes(engine, loop):
    rule = GenerationOptions(max_tokens=200, ngram_size=3, ngram_window=50)
    free = loop(tokens_of(engine, page(tiles=6, seed=3), GenerationOptions(max_tokens=200, ngram_size=0)))
    bound = loop(tokens_of(engine, page(tiles=6, seed=3), rule))
    broken = [i for i, token in enumerate(free) if token in reference(free[:i], 3, 50)]
    assert broken
    assert not any(token in reference(bound[:i], 3, 50) for i, token in enumerate(bound))
    assert bound[: broken[0]] == free[: broken[0]]
    assert bound[broken[0]] != free[broken[0]]


def test_weights_can_be_quantised_by_vllm_0_26(engine):
    """It looks for what to quantise in the overrides, and refuses them where they are a function."""
    assert isinstance(engine._llm.model_config.hf_overrides, dict)


def test_closing_a_stream_frees_its_place(engine, loop):
    endless = GenerationOptions(ngram_size=2, ngram_window=8_000)

    async def leave_early():
        streams = [engine.generate(page(seed=seed), endless) for seed in (1, 2)]  # both places are taken
        for stream in streams:
            assert await anext(stream)
        for stream in streams:
            await stream.aclose()
        return await asyncio.wait_for(read(engine, page(seed=3)), 60)

    assert loop(leave_early())[1].output_tokens == 40
    assert loop(unfinished(engine)) == 0


@pytest.mark.parametrize("stream", [True, False])
def test_cancelling_the_reader_frees_its_place(engine, loop, stream):
    endless = GenerationOptions(ngram_size=2, ngram_window=8_000, stream=stream)

    async def cancel():
        readers = [asyncio.create_task(read(engine, page(seed=seed), endless)) for seed in (1, 2)]
        await begun(engine, 2)  # both places are taken
        for reader in readers:
            reader.cancel()
        ended = await asyncio.gather(*readers, return_exceptions=True)
        assert all(isinstance(error, asyncio.CancelledError) for error in ended)
        return await asyncio.wait_for(read(engine, page(seed=3)), 60)

    assert loop(cancel())[1].output_tokens == 40
    assert loop(unfinished(engine)) == 0


def test_a_prompt_as_long_as_the_context_is_refused(engine, loop):
    with pytest.raises(InvalidRequest, match="leaves no room"):
        loop(read(engine, page(prompt=[5] * 8_000)))


def test_the_answer_ends_with_the_context(engine, loop):
    _, generation = loop(read(engine, page(prompt=[5] * 7_900), GenerationOptions()))
    assert generation.prompt_tokens + generation.output_tokens == 8_192


def broken_pages():
    good = page(tiles=2)
    views = good.views
    yield replace(good, views=None)
    yield replace(good, views=replace(views, token_ids=views.token_ids[:100]))
    yield replace(good, views=replace(views, token_ids=np.roll(views.token_ids, 20)))
    yield replace(good, views=replace(views, tiles=views.tiles[:1]))
    yield replace(good, views=replace(views, tiles=np.repeat(views.tiles, 4, axis=0)))
    yield replace(good, views=replace(views, global_view=views.global_view[:64]))
    yield replace(good, views=replace(views, global_view=views.global_view.astype(np.float32)))


@pytest.mark.parametrize("broken", list(broken_pages()))
def test_a_broken_page_fails_alone(engine, loop, broken):
    with pytest.raises(GenerationFailed):
        loop(read(engine, broken))
    assert loop(read(engine, page()))[1].output_tokens == 40


def test_views_that_lie_in_shared_memory_are_read(engine, loop):
    shared = page(tiles=2)
    for pixels in (shared.views.global_view, shared.views.tiles):
        pixels.setflags(write=False)
    assert loop(read(engine, shared))[1].text == loop(read(engine, page(tiles=2)))[1].text


def test_when_the_core_is_killed_pages_fail_and_health_says_so(engine, loop):
    async def kill():
        stream = engine.generate(page(), GenerationOptions(ngram_size=2, ngram_window=8_000))
        assert await anext(stream)
        os.kill(engine._processes[0].pid, signal.SIGKILL)
        with pytest.raises(EngineUnavailable):
            async for _ in stream:
                pass

    loop(engine.check_health())
    loop(asyncio.wait_for(kill(), 60))
    with pytest.raises(EngineUnavailable, match="replaced"):
        loop(engine.check_health())
    with pytest.raises(EngineUnavailable):
        loop(read(engine, page()))
    loop(engine.close())


@pytest.fixture(scope="module")
def looping(tmp_path_factory, loop):
    engine = start(write_model(tmp_path_factory.mktemp("looping"), attention=1))
    yield engine
    loop(engine.close())


@pytest.mark.parametrize("stream", [True, False])
def test_a_page_that_loops_is_stopped_early(looping, loop, stream):
    pieces, generation = loop(read(looping, page(), GenerationOptions(ngram_size=0, stream=stream)))
    assert generation.finish_reason is FinishReason.RUNAWAY
    assert 96 <= generation.output_tokens < 1_000
    assert not stream or "".join(pieces) == generation.text
    assert loop(unfinished(looping)) == 0


def test_closing_ends_pages_and_processes(looping, loop):
    engine = looping
    family = [psutil.Process(p.pid) for p in engine._processes]
    family += [child for process in family for child in process.children(recursive=True)]

    async def close():
        reader = asyncio.create_task(
            read(engine, page(), GenerationOptions(ngram_size=2, ngram_window=8_000))
        )
        await begun(engine, 1)
        await engine.close()
        with pytest.raises(EngineUnavailable, match="closed"):
            await reader

    loop(asyncio.wait_for(close(), 120))
    _, alive = psutil.wait_procs(family, timeout=20)
    assert not alive
    with pytest.raises(EngineUnavailable, match="closed"):
        loop(engine.check_health())
    with pytest.raises(EngineUnavailable, match="closed"):
        loop(read(engine, page()))
    loop(engine.close())
