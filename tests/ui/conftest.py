"""A real Chromium, and the service that it visits."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pymupdf
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.script_engine import ScriptEngine
from tests.ui.service import service

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

expect.set_options(timeout=60_000)  # machines are slow at times, and nothing here is about that

WIDTH, HEIGHT = 500, 700
"""Of the test document's pages, in points; drawn at 144 dpi they have twice as many pixels."""

BOXES = {"title": (50, 50, 450, 100), "text": (50, 150, 300, 350), "image": (150, 450, 350, 600)}
"""Where each page has something, in points, and what it is."""

COLOURS = {"title": (1, 1, 0), "text": (0, 1, 1), "image": (1, 0.6, 0.6)}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.ui)
            if CHROMIUM is None:
                item.add_marker(pytest.mark.skip(reason="there is no chromium here"))


@pytest.fixture(scope="session")
def document(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three pages with coloured areas where `BOXES` says."""
    made = pymupdf.open()
    for _ in range(3):
        page = made.new_page(width=WIDTH, height=HEIGHT)
        for kind, box in BOXES.items():
            page.draw_rect(pymupdf.Rect(box), color=None, fill=COLOURS[kind])
    path = tmp_path_factory.mktemp("documents") / "areas.pdf"
    path.write_bytes(made.tobytes())
    return path


def marked(kind: str, content: str) -> str:
    """A block in the model's markup, at the place that `BOXES` has for it."""
    x1, y1, x2, y2 = BOXES[kind]
    corners = [
        round(value / whole * 999) for value, whole in zip((x1, y1, x2, y2), (WIDTH, HEIGHT) * 2, strict=True)
    ]
    return f"<|ref|>{kind}<|/ref|><|det|>[{corners}]<|/det|>\n{content}\n\n"


def usual(page: Any, options: Any) -> list[str]:
    """What the engine writes for a page: a title, a text with a formula, a figure."""
    return [
        marked("title", f"# Page {page.index + 1} as {options.task}"),
        marked("text", "The area of a circle is \\(\\pi r^2\\), said **Ada**."),
        marked("image", ""),
    ]


@pytest.fixture(scope="session")
def engine() -> ScriptEngine:
    return ScriptEngine(usual)


@pytest.fixture(scope="session")
def address(engine: ScriptEngine) -> Iterator[str]:
    with service(engine, api={"keys_file": "/nonexistent/keys"}) as found:
        yield found


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    # Playwright's own start-up looks for a display and a browser of its own; neither is used.
    os.environ.setdefault("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS, timeout=120_000)
        yield opened
        opened.close()


class Visit:
    """A page of the browser, and what went over the wire and wrong while it was open."""

    def __init__(self, browser: Browser, address: str, **context: Any) -> None:
        self.address = address
        given = {"viewport": {"width": 1440, "height": 900}, "locale": "en-GB", **context}
        self.context = browser.new_context(**given)
        self.context.set_default_timeout(90_000)
        self.page: Page = self.context.new_page()
        self.requests: list[str] = []
        self.faults: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.goto(address)
        self.page.wait_for_selector("body.ds-ready")

    def open(self, path: Path) -> None:
        """Choose a file and wait until its pages are drawn."""
        self.page.set_input_files("#ds-file", path)
        self.page.wait_for_selector("#ds-thumbs li:last-child img[src]")
        self.page.wait_for_selector("#dsocr-read:not([disabled])")

    def read(self) -> None:
        """Read the document to its end."""
        self.page.click("#dsocr-read")
        self.page.wait_for_selector("#ds-downloads:not([hidden])")

    def show(self, number: int) -> None:
        """Show a page, counted from 1."""
        self.page.click(f"#ds-thumbs li:nth-child({number}) button")


@pytest.fixture
def visit(browser: Browser, address: str) -> Iterator[Callable[..., Visit]]:
    """Visits the page; afterwards nothing may have gone wrong in it, or out of it."""
    visits: list[Visit] = []

    def begin(at: str = address, **context: Any) -> Visit:
        visits.append(Visit(browser, at, **context))
        return visits[-1]

    yield begin
    for each in visits:
        each.context.close()
        assert each.faults == []
        foreign = [url for url in each.requests if not url.startswith((each.address, "data:", "blob:"))]
        assert foreign == []
