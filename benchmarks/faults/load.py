"""Load over HTTP at a set rate, from documents whose right answer is known."""

import asyncio
import contextlib
import json
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import httpx
import pymupdf

from benchmarks.faults.engine import title

VARIANTS = 40
"""Documents of one page, each of a size of its own, by which an answer is known to be its."""

MAX_IN_FLIGHT = 48
"""Requests at once; what would be more is not sent, and counted."""

TIMEOUT_S = 180.0
JOB_PAGES = 8
STREAM_SHARE, LEAVING_SHARE = 0.2, 0.05
"""Of requests: those that stream, and those whose client leaves before the end."""


class Outcome(NamedTuple):
    """How a request ended; times are `time.monotonic()`."""

    kind: str
    began: float
    ended: float
    result: str


@dataclass(slots=True)
class Tally:
    """What came of the load."""

    outcomes: list[Outcome] = field(default_factory=list)
    jobs: list[str] = field(default_factory=list)
    refused_jobs: Counter[str] = field(default_factory=Counter)
    not_sent: int = 0

    def results(self) -> dict[str, int]:
        """Return how many requests ended how."""
        return dict(sorted(Counter(outcome.result for outcome in self.outcomes).items()))

    def failures(self) -> list[Outcome]:
        """Return the requests that failed."""
        return [outcome for outcome in self.outcomes if outcome.result not in ("ok", "left")]

    def latency(self) -> dict[str, float]:
        """Return quantiles of the seconds that answered requests took."""
        taken = sorted(outcome.ended - outcome.began for outcome in self.outcomes if outcome.result == "ok")
        if not taken:
            return {}
        return {f"p{q}": round(taken[min(len(taken) * q // 100, len(taken) - 1)], 2) for q in (50, 95, 99)}


def pdf(pages: int, width: int) -> bytes:
    """Return a document of equal pages; at 72 dpi a point is a pixel."""
    document = pymupdf.open()
    for number in range(pages):
        document.new_page(width=width, height=280).insert_text((20, 50), f"page {number}")
    return bytes(document.tobytes())


class Load:
    """Sends requests at a rate, and jobs now and then.

    Args:
        address: of the service.
        rate: pages a second, jobs' pages included.
        job_every_s: seconds between two jobs; None for no jobs.
        seed: of the random times and kinds.
    """

    def __init__(self, address: str, rate: float, job_every_s: float | None, seed: int = 1) -> None:
        self.tally = Tally()
        self._address = address
        self._rate = rate - (JOB_PAGES / job_every_s if job_every_s else 0)
        self._job_every_s = job_every_s
        self._random = random.Random(seed)
        self._documents = [pdf(1, 200 + number) for number in range(VARIANTS)]
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, stop: asyncio.Event) -> None:
        """Send until told to stop, then wait for what is under way."""
        limits = httpx.Limits(max_connections=MAX_IN_FLIGHT + 4, max_keepalive_connections=MAX_IN_FLIGHT)
        async with httpx.AsyncClient(base_url=self._address, timeout=TIMEOUT_S, limits=limits) as client:
            jobs = asyncio.create_task(self._send_jobs(client, stop))
            while not stop.is_set():
                pause = self._random.expovariate(self._rate)
                try:
                    await asyncio.wait_for(stop.wait(), pause)
                except TimeoutError:
                    self._send(client)
            await asyncio.gather(jobs, *self._tasks)

    def _send(self, client: httpx.AsyncClient) -> None:
        if len(self._tasks) >= MAX_IN_FLIGHT:
            self.tally.not_sent += 1
            return
        variant, dice = self._random.randrange(VARIANTS), self._random.random()
        kind = "leave" if dice < LEAVING_SHARE else "stream" if dice < STREAM_SHARE else "page"
        task = asyncio.create_task(self._request(client, kind, variant))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _request(self, client: httpx.AsyncClient, kind: str, variant: int) -> None:
        began = time.monotonic()
        try:
            async with asyncio.timeout(TIMEOUT_S):
                result = await getattr(self, f"_{kind}")(client, variant)
        except TimeoutError:
            result = "unanswered"
        except httpx.HTTPError as error:
            result = f"connection {type(error).__name__}"
        except (ValueError, LookupError, TypeError):
            result = "unreadable"
        self.tally.outcomes.append(Outcome(kind, began, time.monotonic(), result))

    async def _page(self, client: httpx.AsyncClient, variant: int) -> str:
        reply = await client.post("/v1/ocr", files=self._file(variant), data={"dpi": "72"})
        if reply.status_code != 200:
            return refusal(reply)
        (page,) = reply.json()["pages"]
        if page.get("error"):
            return str(page["error"]["code"])
        return "ok" if f"# Page 0 of {200 + variant}x280" in page["markdown"] else "wrong"

    async def _stream(self, client: httpx.AsyncClient, variant: int) -> str:
        data = {"dpi": "72", "stream": "true"}
        async with client.stream("POST", "/v1/ocr", files=self._file(variant), data=data) as reply:
            if reply.status_code != 200:
                await reply.aread()
                return refusal(reply)
            event, text, attempt = "", "", 0
            async for line in reply.aiter_lines():
                if line.startswith("event: "):
                    event = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    told = json.loads(line.removeprefix("data: "))
                    if event == "page.delta":
                        if told.get("attempt", 1) != attempt:
                            attempt, text = told.get("attempt", 1), ""
                        text += told["text"]
                    elif event in ("page.error", "error"):
                        return str(told.get("error", told)["code"])
                    elif event == "done":
                        return "ok" if text.startswith(title(0, 200 + variant, 280)) else "wrong"
        return "stream broke off"

    async def _leave(self, client: httpx.AsyncClient, variant: int) -> str:
        with contextlib.suppress(httpx.TimeoutException):
            await client.post("/v1/ocr", files=self._file(variant), data={"dpi": "72"}, timeout=0.3)
        return "left"

    def _file(self, variant: int) -> dict[str, tuple[str, bytes]]:
        return {"file": ("page.pdf", self._documents[variant])}

    async def _send_jobs(self, client: httpx.AsyncClient, stop: asyncio.Event) -> None:
        if self._job_every_s is None:
            return
        document = pdf(JOB_PAGES, 200)
        while not stop.is_set():
            try:
                reply = await client.post(
                    "/v1/jobs", files={"file": ("job.pdf", document)}, data={"dpi": "72"}
                )
                if reply.status_code == 202:
                    self.tally.jobs.append(reply.json()["id"])
                else:
                    self.tally.refused_jobs[refusal(reply)] += 1
            except httpx.HTTPError as error:
                self.tally.refused_jobs[f"connection {type(error).__name__}"] += 1
            try:
                await asyncio.wait_for(stop.wait(), self._job_every_s)
            except TimeoutError:
                continue


def refusal(reply: httpx.Response) -> str:
    """Return the status and code of a reply that is an error."""
    try:
        return f"{reply.status_code} {reply.json()['error']['code']}"
    except (ValueError, KeyError, TypeError):
        return f"{reply.status_code} unclear: {reply.text[:60]}"


def jobs_lost(address: str, ids: list[str], limit_s: float) -> dict[str, Any]:
    """Wait for jobs that were accepted, and say what became of their pages."""
    deadline = time.monotonic() + limit_s
    found: Counter[str] = Counter(accepted=len(ids), pages=len(ids) * JOB_PAGES)
    with httpx.Client(base_url=address, timeout=60) as client:
        for id_ in ids:
            while True:
                state = job_state(client, id_)
                if state not in ("queued", "running") and not state.startswith(("503", "connection")):
                    break
                if time.monotonic() > deadline:
                    break
                time.sleep(0.5)
            found[state] += 1
            if state != "done":
                continue
            try:
                pages = client.get(f"/v1/jobs/{id_}/result").raise_for_status().json()["pages"]
            except (httpx.HTTPError, ValueError, KeyError) as error:
                found[f"result {type(error).__name__}"] += 1
                continue
            for number, page in enumerate(pages):
                right = f"# Page {number} of 200x280" in (page.get("markdown") or "")
                found["pages_right" if right else "pages_not_right"] += 1
    found["pages_lost"] = found["pages"] - found["pages_right"]
    return dict(found)


def job_state(client: httpx.Client, id_: str) -> str:
    """Return a job's state, or how asking for it failed."""
    try:
        reply = client.get(f"/v1/jobs/{id_}")
        return reply.json().get("state", "gone") if reply.status_code == 200 else refusal(reply)
    except (httpx.HTTPError, ValueError) as error:
        return f"connection {type(error).__name__}"
