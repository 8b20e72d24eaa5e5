from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from serve_app.api.jobs import JobService
from serve_app.jobs.posting import PublicPost
from serve_app.jobs.settings import JobSettings
from serve_app.jobs.store import JobStore
from serve_app.jobs.webhooks import Webhooks
from tests.fakes import FakeReader, client_of, make_app
from tests.jobs.fakes import FakeSource, running


@pytest.fixture
def reader() -> FakeReader:
    return FakeReader()


@pytest.fixture
async def client(reader: FakeReader, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """All routes, those of jobs over a runner of their own."""
    settings = JobSettings(directory=str(tmp_path))
    async with running(tmp_path, FakeSource()) as runner:
        jobs = JobService(runner, JobStore(str(tmp_path)), settings, Webhooks(settings, PublicPost()))
        async with client_of(make_app(reader, jobs=jobs)) as client:
            yield client
