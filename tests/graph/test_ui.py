"""The page beside the graph, through Serve's own proxy."""

from collections.abc import Callable, Iterator

import httpx
import pytest
from ray import serve

from serve_app.settings import load_settings
from serve_app.ui.application import UI_APP_NAME, UI_ROUTE, build_ui

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def page(deploy: Callable[..., str]) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=deploy(), timeout=60) as http:
        absent = http.get("/ui/")
        assert absent.status_code == 404
        assert "The page at /ui is off" in absent.text
        serve.run(build_ui(load_settings()), name=UI_APP_NAME, route_prefix=UI_ROUTE)
        yield http
        serve.delete(UI_APP_NAME)


def test_the_root_leads_to_the_page(page: httpx.Client) -> None:
    reply = page.get("/", follow_redirects=True)
    assert reply.url.path == "/ui/"
    assert "gradio_config" in reply.text
    assert "script-src 'self' 'sha256-" in reply.headers["content-security-policy"]
    assert page.get("/ui").headers["location"] == "/ui/"


def test_what_the_page_needs_is_there_and_nothing_else(page: httpx.Client) -> None:
    for path in (
        "page/app.js",
        "page/style.css",
        "page/facts.json",
        "page/examples/harbour.pdf",
        "theme.css",
    ):
        assert page.get(f"/ui/{path}").status_code == 200, path
    assert page.get("/ui/page/examples/..%2f..%2fpyproject.toml").status_code == 404
    assert page.get("/ui/gradio_api/info").status_code == 404
    assert page.post("/ui/gradio_api/upload", files={"files": b"x"}).status_code == 405


def test_the_interface_is_as_it_was(page: httpx.Client, pdf: bytes) -> None:
    reply = page.post("/v1/ocr", files={"file": pdf})
    assert reply.status_code == 200
    assert [each["index"] for each in reply.json()["pages"]] == [0, 1, 2]


def test_blocks_come_as_they_close_and_pages_can_be_looked_at(page: httpx.Client, pdf: bytes) -> None:
    with page.stream(
        "POST", "/v1/ocr", files={"file": pdf}, data={"stream": "true", "stream_blocks": "true"}
    ) as reply:
        names = [line[7:] for line in reply.iter_lines() if line.startswith("event: ")]
    assert names[0] == "start"
    assert names.count("page.start") == 3
    assert names.count("page.block") >= 3
    pictures = page.post("/v1/pages", files={"file": pdf}, data={"side": "100"}).text
    assert pictures.count("event: page\n") == 3
    written = '[{"index": 1, "raw": "# Kept"}]'
    made = page.post("/v1/exports", files={"file": pdf}, data={"format": "markdown", "written": written})
    assert made.text == "<!-- page 2 -->\n\n# Kept\n"
