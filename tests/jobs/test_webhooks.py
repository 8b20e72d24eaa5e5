"""Webhooks against a server on this machine."""

import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from starlette.types import Receive, Scope, Send

from deployments.errors import AddressRefused, CorruptPage, InvalidRequest
from serve_app.jobs.models import JobState
from serve_app.jobs.posting import PublicPost
from serve_app.jobs.settings import JobSettings
from serve_app.jobs.webhooks import SIGNATURE_HEADER, TIMESTAMP_HEADER, Webhooks
from tests.fakes import serving
from tests.jobs.fakes import DOCUMENT, FakeSource, ended, new_record, running, until

pytestmark = pytest.mark.anyio

KEY = "a key of some length"


@dataclass
class Receiver:
    """Answers with the given statuses, the last one for good, and keeps what came."""

    statuses: list[int] = field(default_factory=lambda: [200])
    hang: bool = False
    calls: list[tuple[dict[bytes, bytes], bytes]] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        self.calls.append((dict(scope["headers"]), body))
        if self.hang:
            await receive()
            return
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        headers = [(b"content-length", b"0"), (b"location", b"http://127.0.0.1:1/elsewhere")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


@dataclass
class Pauses:
    """Does not wait, and keeps how long it should have."""

    lengths: list[float] = field(default_factory=list)

    async def __call__(self, seconds: float) -> None:
        self.lengths.append(seconds)


@asynccontextmanager
async def hooks(receiver: Receiver, **given: object) -> AsyncIterator[tuple[Webhooks, str, Pauses]]:
    settings = JobSettings.model_validate({"webhook_secret": KEY, **given})
    pauses = Pauses()
    async with serving(receiver) as address:
        yield Webhooks(settings, PublicPost(private=True), sleep=pauses), f"{address}/hook?a=b", pauses


async def test_the_end_of_a_job_is_told_and_signed(tmp_path: Path) -> None:
    receiver = Receiver()
    async with hooks(receiver) as (webhooks, address, _):
        async with running(tmp_path, FakeSource(), webhooks=webhooks) as runner:
            record = new_record(2, webhook=address)
            assert (await runner.submit(record, DOCUMENT)).webhook == "waiting"
            await until(runner, record.id, lambda status: status.webhook == "delivered")
        async with running(tmp_path, FakeSource(), webhooks=webhooks) as runner:
            assert (await runner.status(record.id, "")).webhook == "delivered"
    ((headers, body),) = receiver.calls
    event = json.loads(body)
    assert event["type"] == "job.done"
    assert event["data"]["id"] == record.id
    assert event["data"]["pages"] == {"total": 2, "done": 2, "failed": 0}
    timestamp = headers[TIMESTAMP_HEADER.lower().encode()]
    expected = hmac.new(KEY.encode(), timestamp + b"." + body, hashlib.sha256).hexdigest()
    assert headers[SIGNATURE_HEADER.lower().encode()].decode() == f"sha256={expected}"


async def test_a_failed_job_is_told_too(tmp_path: Path) -> None:
    receiver = Receiver()
    async with hooks(receiver) as (webhooks, address, _):
        source = FakeSource(errors={0: [CorruptPage("torn")]})
        async with running(tmp_path, source, webhooks=webhooks) as runner:
            record = new_record(1, webhook=address)
            await runner.submit(record, DOCUMENT)
            await until(runner, record.id, lambda status: status.webhook == "delivered")
    event = json.loads(receiver.calls[0][1])
    assert (event["type"], event["data"]["error"]["code"]) == ("job.failed", "corrupt_page")


async def test_what_is_not_taken_is_sent_again_after_growing_pauses_with_the_same_id(tmp_path: Path) -> None:
    receiver = Receiver(statuses=[500, 302, 404, 204])
    async with (
        hooks(receiver) as (webhooks, address, pauses),
        running(tmp_path, FakeSource(), webhooks=webhooks) as runner,
    ):
        record = new_record(1, webhook=address)
        await runner.submit(record, DOCUMENT)
        await until(runner, record.id, lambda status: status.webhook == "delivered")
    assert pauses.lengths == [2, 4, 8]
    assert len({json.loads(body)["id"] for _, body in receiver.calls}) == 1


async def test_it_is_given_up_at_some_point(tmp_path: Path) -> None:
    receiver = Receiver(statuses=[500])
    async with (
        hooks(receiver, webhook_attempts=3) as (webhooks, address, _),
        running(tmp_path, FakeSource(), webhooks=webhooks) as runner,
    ):
        record = new_record(1, webhook=address)
        await runner.submit(record, DOCUMENT)
        status = await until(runner, record.id, lambda status: status.webhook == "failed")
    assert status.state is JobState.DONE
    assert len(receiver.calls) == 3


async def test_a_receiver_that_hangs_holds_up_no_job(tmp_path: Path) -> None:
    receiver = Receiver(hang=True)
    async with (
        hooks(receiver, webhook_timeout_s=0.2, webhook_attempts=2) as (webhooks, address, _),
        running(tmp_path, FakeSource(), webhooks=webhooks, max_running=1) as runner,
    ):
        records = [new_record(1, webhook=address) for _ in range(3)]
        for record in records:
            await runner.submit(record, DOCUMENT)
        for record in records:
            assert (await ended(runner, record.id)).state is JobState.DONE
            await until(runner, record.id, lambda status: status.webhook == "failed")
    assert len(receiver.calls) == 6


async def test_a_delivery_that_a_restart_cut_short_is_made_after_it(tmp_path: Path) -> None:
    receiver = Receiver(hang=True)
    async with hooks(receiver) as (webhooks, address, _):
        async with running(tmp_path, FakeSource(), webhooks=webhooks) as runner:
            record = new_record(1, webhook=address)
            await runner.submit(record, DOCUMENT)
            await until(runner, record.id, lambda status: status.webhook == "pending")
        receiver.hang = False
        async with running(tmp_path, FakeSource(), webhooks=webhooks) as runner:
            await until(runner, record.id, lambda status: status.webhook == "delivered")


@pytest.mark.parametrize("address", ["http://127.0.0.1:{port}/", "https://localhost:{port}/"])
async def test_nothing_is_sent_to_this_machine_unless_it_is_allowed(address: str) -> None:
    receiver = Receiver()
    async with serving(receiver) as served:
        address = address.format(port=served.rpartition(":")[2])
        with pytest.raises(AddressRefused):
            await PublicPost()(address, {}, b"{}")
    assert not receiver.calls


def test_without_a_key_there_are_no_webhooks() -> None:
    with pytest.raises(InvalidRequest, match="webhook_secret"):
        Webhooks(JobSettings(), PublicPost()).check("https://example.com")


async def test_a_receiver_that_is_not_there_is_a_failed_delivery(tmp_path: Path) -> None:
    settings = JobSettings.model_validate({"webhook_secret": KEY, "webhook_attempts": 2})
    webhooks = Webhooks(settings, PublicPost(private=True), sleep=Pauses())
    async with running(tmp_path, FakeSource(), webhooks=webhooks) as runner:
        record = new_record(1, webhook="http://127.0.0.1:1/")
        await runner.submit(record, DOCUMENT)
        await until(runner, record.id, lambda status: status.webhook == "failed")
