"""Spoilt documents sent to a service that runs."""

import asyncio
from collections import Counter

import httpx

from tests.fuzz.documents import document

AT_ONCE = 8
TIMEOUT_S = 300


def fuzz_service(address: str, cases: int, seed: int = 0) -> Counter[str]:
    """Send spoilt documents, and see that the service still reads.

    Args:
        address: of the service.
        cases: documents; each is asked for its first two pages at most.
        seed: of the documents.

    Returns:
        How often which status came, with the code of an error.

    Raises:
        AssertionError: an answer is a server error other than 503, or the service is not ready at the end.
    """
    return asyncio.run(_sent(address, cases, seed))


async def _sent(address: str, cases: int, seed: int) -> Counter[str]:
    outcomes: Counter[str] = Counter()
    numbers = iter(range(cases))

    async with httpx.AsyncClient(base_url=address, timeout=TIMEOUT_S) as client:

        async def worker() -> None:
            for number in numbers:
                data = await asyncio.to_thread(document, seed, number)
                for pages in ("0-1", "0"):  # most have one page
                    reply = await client.post(
                        "/v1/ocr", files={"file": ("a", data)}, data={"pages": pages, "dpi": "72"}
                    )
                    if reply.status_code != 400:
                        break
                code = reply.json().get("error", {}).get("code", "read")
                assert reply.status_code < 500 or reply.status_code == 503, (
                    f"document {seed}-{number}: {code}"
                )
                outcomes[f"{reply.status_code} {code}"] += 1

        await asyncio.gather(*(worker() for _ in range(AT_ONCE)))
        assert (await client.get("/readyz")).status_code == 200
    return outcomes
