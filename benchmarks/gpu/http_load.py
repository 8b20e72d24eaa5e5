"""The load generator of mode `graph`: posts documents of one page, a set number of them at any time."""

import asyncio
import json
import sys
from pathlib import Path

import httpx

from benchmarks.gpu.lengths import UnderWay
from benchmarks.gpu.load import Answer, Load, closed_loop
from benchmarks.gpu.pages import single_pages
from benchmarks.gpu.spec import Spec

PAUSE_S = 0.5
"""Between a refusal and the next page, so that an overloaded service is not drowned."""


class Service:
    """The HTTP interface as a target of load.

    Args:
        client: with room for all that is under way.
        url: of `POST /v1/ocr`.
        documents: of one page each.
    """

    def __init__(self, client: httpx.AsyncClient, url: str, documents: list[bytes]) -> None:
        self._client, self._url, self._documents = client, url, documents

    async def read(self, number: int, length: int, ngram_size: int) -> Answer:
        """Post a page; how long its answer is, the service's engine says."""
        document = self._documents[number % len(self._documents)]
        form = {"file": ("page.pdf", document, "application/pdf")}
        try:
            reply = await self._client.post(self._url, files=form)
        except httpx.HTTPError as error:
            await asyncio.sleep(PAUSE_S)
            return Answer(0, type(error).__name__)
        if reply.status_code != 200:
            await asyncio.sleep(PAUSE_S)
            return Answer(0, f"{reply.status_code} {reply.json()['error']['code']}")
        body = reply.json()
        page = body["pages"][0]
        if page.get("error"):
            return Answer(0, page["error"]["code"])
        return Answer(body["usage_info"]["output_tokens"], page["finish_reason"])

    async def prime(self, page: UnderWay, ngram_size: int) -> int:
        """Never called: what is half written can't be posted."""
        raise NotImplementedError


def main() -> None:
    """Post pages as the command line's spec says, and write down what came of them."""
    spec, url, in_flight, target = Spec.from_command_line(), sys.argv[2], int(sys.argv[3]), Path(sys.argv[4])
    load = asyncio.run(_load(spec, url, in_flight))
    answered = [visit for visit in load.visits if visit.tokens]  # a page that failed is no page
    target.write_text(
        json.dumps({"began": load.began, "window": load.window, "reasons": load.reasons, "visits": answered})
    )


async def _load(spec: Spec, url: str, in_flight: int) -> Load:
    documents = single_pages(Path(spec.pages_pdf), spec.distinct_pages)
    limits = httpx.Limits(max_connections=in_flight, max_keepalive_connections=in_flight)
    async with httpx.AsyncClient(timeout=None, limits=limits) as client:  # noqa: S113 - a page may take long
        return await closed_loop(Service(client, url, documents), spec.phases[0], in_flight, [0], ())


if __name__ == "__main__":
    main()
