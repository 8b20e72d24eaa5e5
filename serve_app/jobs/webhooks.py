"""Telling another service that a job has ended.

The body is JSON: `{"type": "job.done" | "job.failed", "id": …, "created_at": …, "data": the job}`. It is
signed, so that the receiver knows who sent it, and when:

    X-Dsocr-Timestamp: 1780000000
    X-Dsocr-Signature: sha256=<hex of HMAC-SHA256(secret, timestamp + "." + body)>

To verify: compute the same over the bytes of the body as they came, compare in constant time
(`hmac.compare_digest`), and refuse a timestamp that is more than some minutes old. The `id` is the
same at each try of one event, and an event may come twice: remember the ids you have seen.

Anything but a status from 200 to 299 is tried again, after 2 s, 4 s, 8 s and so on. Redirects are not
followed and the reply's body is not read.
"""

import asyncio
import hashlib
import hmac
import json
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from deployments.errors import InvalidRequest, OcrError
from serve_app.jobs.models import MAX_URL_CHARS, JobStatus
from serve_app.jobs.settings import JobSettings

logger = logging.getLogger(__name__)

TIMESTAMP_HEADER = "X-Dsocr-Timestamp"
SIGNATURE_HEADER = "X-Dsocr-Signature"

MAX_PAUSE_S = 600
_AT_ONCE = 8
"""Calls under way; a receiver that hangs keeps no more than one of them, for its timeout."""

Sleep = Callable[[float], Awaitable[None]]


class Post(Protocol):
    """Sends a body to an address that anybody may have chosen."""

    def check(self, url: str) -> None:
        """Refuse an address that can't be meant well, before anything is sent.

        Raises:
            InvalidRequest: it is refused, and why.
        """
        ...

    async def __call__(self, url: str, headers: dict[str, str], body: bytes) -> int:
        """Send, and return the reply's status.

        Raises:
            OcrError: the address is refused or can't be reached.
        """
        ...


def signature(secret: bytes, timestamp: str, body: bytes) -> str:
    """Return the signature's header for a body sent at a time."""
    digest = hmac.new(secret, timestamp.encode("ascii") + b"." + body, hashlib.sha256)
    return f"sha256={digest.hexdigest()}"


class Webhooks:
    """Calls webhooks, a bounded number at once.

    Args:
        settings: of jobs.
        post: sends.
        sleep: waits between tries.
        clock: unix time.
    """

    def __init__(
        self,
        settings: JobSettings,
        post: Post,
        sleep: Sleep = asyncio.sleep,
        clock: Callable[[], float] = time.time,
    ) -> None:
        secret = settings.webhook_secret
        self._secret = None if secret is None else secret.get_secret_value().encode()
        self._attempts = settings.webhook_attempts
        self._timeout_s = settings.webhook_timeout_s
        self._post = post
        self._sleep = sleep
        self._clock = clock
        self._places = asyncio.Semaphore(_AT_ONCE)

    def check(self, url: str) -> None:
        """Refuse an address to which nothing would be sent.

        Raises:
            InvalidRequest: it is not of the kind that is called, or webhooks are switched off.
        """
        if self._secret is None:
            raise InvalidRequest(
                "This service calls no webhooks: it has no key to sign them with (jobs.webhook_secret).",
                "webhook",
            )
        if len(url) > MAX_URL_CHARS:
            raise InvalidRequest(
                f"The webhook's address has more than {MAX_URL_CHARS} characters.", "webhook"
            )
        self._post.check(url)

    async def deliver(self, url: str, status: JobStatus) -> bool:
        """Tell an address of a job's end; return whether it was taken."""
        if self._secret is None:
            return False
        event = {
            "type": f"job.{status.state}",
            "id": f"{status.id}.{status.state}",
            "created_at": status.ended_at,
            "data": status.model_dump(mode="json", exclude={"webhook"}),
        }
        body = json.dumps(event, ensure_ascii=False).encode()
        for attempt in range(1, self._attempts + 1):
            if await self._try(self._secret, url, body, status.id):
                return True
            if attempt < self._attempts:
                await self._sleep(min(2**attempt, MAX_PAUSE_S))
        return False

    async def _try(self, secret: bytes, url: str, body: bytes, id_: str) -> bool:
        async with self._places:
            timestamp = str(int(self._clock()))
            headers = {
                "Content-Type": "application/json",
                TIMESTAMP_HEADER: timestamp,
                SIGNATURE_HEADER: signature(secret, timestamp, body),
            }
            try:
                async with asyncio.timeout(self._timeout_s):
                    status = await self._post(url, headers, body)
            except (OcrError, TimeoutError) as error:
                logger.warning("the webhook of job %s failed: %s", id_, error or "it took too long")
                return False
        if 200 <= status < 300:
            return True
        logger.warning("the webhook of job %s was answered with status %d", id_, status)
        return False
