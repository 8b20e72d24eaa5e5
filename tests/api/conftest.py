from collections.abc import AsyncIterator

import httpx
import pytest

from tests.fakes import FakeReader, client_of, make_app


@pytest.fixture
def reader() -> FakeReader:
    return FakeReader()


@pytest.fixture
async def client(reader: FakeReader) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(make_app(reader)) as client:
        yield client
