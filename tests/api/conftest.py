from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.fakes import FakeReader, client_of, make_app
from tests.jobs.fakes import FakeSource, job_service, running


@pytest.fixture
def reader() -> FakeReader:
    return FakeReader()


@pytest.fixture
async def client(reader: FakeReader, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """All routes, those of jobs over a runner of their own."""
    async with (
        running(tmp_path, FakeSource()) as runner,
        client_of(make_app(reader, jobs=job_service(runner, tmp_path))) as client,
    ):
        yield client
