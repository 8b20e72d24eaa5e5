"""A closed loop of pages: as one ends, the next is sent, so that the engine never waits for work."""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from benchmarks.gpu.lengths import UnderWay, page_lengths, pages_under_way
from benchmarks.gpu.meter import Meter, Step
from benchmarks.gpu.spec import Phase, Spec


class Visit(NamedTuple):
    """One page's way through the engine. Times are seconds of `time.time()`."""

    sent: float
    done: float
    tokens: int
    asked: int
    primer: bool


class Load(NamedTuple):
    """What a phase sent, and when its steady window was."""

    began: float
    window: tuple[float, float]
    visits: list[Visit]
    reasons: Mapping[str, int]


class Answer(NamedTuple):
    """What came back for a page."""

    tokens: int
    reason: str


class Target(Protocol):
    """What reads pages under load."""

    async def read(self, number: int, length: int, ngram_size: int) -> Answer:
        """Read a page with an answer of so many tokens."""
        ...

    async def prime(self, page: UnderWay, ngram_size: int) -> int:
        """Write the rest of a half-written page; returns the tokens written."""
        ...


class EngineTarget(Target, Protocol):
    """An engine under load, in this process.

    Attributes:
        meter: counts what its core hands out.
        max_num_seqs: pages it writes at a time.
        longest: most tokens that an answer may have beside a page's prompt.
    """

    meter: Meter
    max_num_seqs: int
    longest: int


async def run_phase(spec: Spec, phase: Phase, target: EngineTarget) -> dict[str, Any]:
    """Put one phase of load on an engine and return its figures."""
    seed = spec.seed + phase.repeat
    lengths = page_lengths(20_000, phase.mean_tokens, seed, target.longest).tolist()
    primers = (
        pages_under_way(target.max_num_seqs, phase.mean_tokens, seed, target.longest) if spec.primed else []
    )
    in_flight = max(round(spec.in_flight * target.max_num_seqs), 1)
    target.meter.steps.clear()
    load = await closed_loop(target, phase, in_flight, lengths, primers)
    return figures(load, phase, lengths, target.meter.steps)


async def closed_loop(
    target: Target, phase: Phase, in_flight: int, lengths: Sequence[int], primers: Sequence[UnderWay]
) -> Load:
    """Keep `in_flight` pages under way until the phase's window ends.

    Args:
        target: what reads them.
        phase: for how long, and with which rule.
        in_flight: pages under way at any time.
        lengths: of the answers, by page number; they are used again if they run out, and 0 leaves the
            length to the target.
        primers: half-written pages to begin with.
    """
    visits: list[Visit] = []
    reasons: Counter[str] = Counter()
    began = time.time()
    opens = began + phase.settle_s
    closes = opens + phase.window_s
    numbers = itertools.count()

    async def keep_one(place: int) -> None:
        if place < len(primers):
            sent = time.time()
            tokens = await target.prime(primers[place], phase.ngram_size)
            visits.append(Visit(sent, time.time(), tokens, asked=max(primers[place].left, 1), primer=True))
        while (sent := time.time()) < closes:
            number = next(numbers)
            asked = lengths[number % len(lengths)]
            answer = await target.read(number, asked, phase.ngram_size)
            reasons[answer.reason] += 1
            visits.append(Visit(sent, time.time(), answer.tokens, asked or answer.tokens, primer=False))

    places = [asyncio.create_task(keep_one(place)) for place in range(in_flight)]
    try:
        limit = None if phase.drain else max(closes - time.time(), 0)
        ended, _ = await asyncio.wait(places, timeout=limit, return_when=asyncio.FIRST_EXCEPTION)
        for place in ended:
            place.result()
    finally:
        for place in places:
            place.cancel()
        await asyncio.gather(*places, return_exceptions=True)
    return Load(began, (opens, closes), visits, reasons)


def figures(load: Load, phase: Phase, lengths: Sequence[int], steps: Sequence[Step]) -> dict[str, Any]:
    """Return the steady window's figures and the whole run's.

    Args:
        load: what was sent.
        phase: that was asked for.
        lengths: of the answers, from which those sent were taken.
        steps: what the engine's core handed out meanwhile; may be empty where nobody looked.
    """
    opens, closes = load.window
    seconds = closes - opens
    mean_tokens = sum(lengths) / len(lengths)
    ended = [visit for visit in load.visits if opens <= visit.done < closes]
    middle = (opens + closes) / 2
    within = [step for step in steps if opens <= step.time < closes]
    generated = sum(step.tokens for step in within)
    pages = [visit for visit in load.visits if not visit.primer]
    last = max((visit.done for visit in pages), default=load.began)
    times = sorted(visit.done - visit.sent for visit in ended if not visit.primer)
    return {
        "window": [opens, closes],
        "steady": {
            "seconds": round(seconds, 1),
            "pages": len(ended),
            "pages_per_s": round(len(ended) / seconds, 3),
            "pages_per_s_by_half": [
                round(sum(visit.done < middle for visit in ended) / seconds * 2, 2),
                round(sum(visit.done >= middle for visit in ended) / seconds * 2, 2),
            ],
            "pages_per_day": round(len(ended) / seconds * 86_400),
            "output_tokens_per_s": round(generated / seconds) if within else None,
            "pages_per_s_by_tokens": round(generated / seconds / mean_tokens, 3) if within else None,
            "pages_per_s_prefilled": round(sum(step.prefilled for step in within) / seconds, 3)
            if within
            else None,
            "engine_steps_per_s": round(len({step.core_time for step in within}) / seconds, 2)
            if within
            else None,
            "page_latency_s_p50_p95": [round(times[int(len(times) * q)], 2) for q in (0.5, 0.95)]
            if times
            else None,
        },
        "whole": {
            "seconds": round(last - load.began, 1),
            "pages": len(pages),
            "pages_per_s": round(len(pages) / max(last - load.began, 1e-9), 3),
            "pages_per_s_by_tokens": round(
                sum(visit.tokens for visit in load.visits) / mean_tokens / max(last - load.began, 1e-9), 3
            ),
            "primers": sum(visit.primer for visit in load.visits),
        },
        "asked_mean": phase.mean_tokens,
        "mean_tokens": round(mean_tokens, 1),
        "finish_reasons": dict(load.reasons),
        "pages_of_wrong_length": sum(visit.tokens != visit.asked for visit in load.visits),
    }
