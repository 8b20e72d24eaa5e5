"""The OpenAPI document, guarded by a snapshot.

After a change that is meant, write it anew and read the difference before committing it:

    UPDATE_SNAPSHOTS=1 python -m pytest tests/api/test_openapi.py
"""

import json
import os
import re
from pathlib import Path

import httpx
import pytest

SNAPSHOT = Path(__file__).parent / "openapi.json"

pytestmark = pytest.mark.anyio


async def test_the_document_is_the_snapshot(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    if os.environ.get("UPDATE_SNAPSHOTS"):
        SNAPSHOT.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    assert document == json.loads(SNAPSHOT.read_text())


async def test_every_route_has_an_example(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    jobs = {f"/v1/jobs{rest}" for rest in ("", "/{id}", "/{id}/events", "/{id}/result")}
    others = {
        "/v1/ocr",
        "/v1/chat/completions",
        "/healthz",
        "/readyz",
        "/v1/models",
        "/v1/pages",
        "/v1/exports",
    }
    assert set(document["paths"]) == others | jobs
    for path, methods in document["paths"].items():
        for operation in methods.values():
            for content in [*operation["responses"].values(), operation.get("requestBody", {"content": {}})]:
                for media in content["content"].values():
                    assert "example" in media, path


async def test_the_example_of_a_chat_is_answered(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    body = document["paths"]["/v1/chat/completions"]["post"]["requestBody"]["content"]["application/json"]
    assert (await client.post("/v1/chat/completions", json=body["example"])).status_code == 200


async def test_every_reference_leads_somewhere(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    for name in re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document)):
        assert name in document["components"]["schemas"]


async def test_the_documentation_page_needs_no_other_server(client: httpx.AsyncClient) -> None:
    page = await client.get("/docs")
    assert page.status_code == 200
    assert "//cdn" not in page.text
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(addresses) >= 2
    for address in addresses:
        assert address.startswith("/"), address
        assert (await client.get(address)).status_code == 200


async def test_probes_and_models(client: httpx.AsyncClient) -> None:
    assert (await client.get("/healthz")).json() == {"status": "ok"}
    assert (await client.get("/readyz")).json() == {
        "status": "ready",
        "engine": "embedded",
        "model": "fake-ocr",
    }
    models = (await client.get("/v1/models")).json()
    assert models["object"] == "list"
    assert models["data"][0]["id"] == "fake-ocr"
    assert models["data"][0]["object"] == "model"
