"""The pictures of the page that the documentation shows, of the embedded engine at work.

They are kept where `UI_SCREENSHOTS` says (`make screenshots`), else thrown away.
"""

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, expect

from deployments.model.selection import create_engine
from deployments.model.settings import ModelSettings
from tests.ui.conftest import Visit
from tests.ui.service import service

COLOURS = 96
"""Of a kept picture: few are in use, and the files stay small."""

VIEWS: dict[str, dict[str, Any]] = {
    "ui-light": {"viewport": {"width": 1400, "height": 860}},
    "ui-dark": {"viewport": {"width": 1400, "height": 860}, "color_scheme": "dark"},
    "ui-chinese": {"viewport": {"width": 1280, "height": 820}, "locale": "zh-CN"},
    "ui-phone": {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True},
}


@pytest.fixture(scope="module")
def embedded() -> Iterator[str]:
    engine = create_engine(ModelSettings(), "embedded", 2)
    with service(engine, api={"keys_file": "/nonexistent/keys"}) as address:
        yield address


@pytest.mark.parametrize("name", VIEWS)
def test_the_example_is_read(embedded: str, browser: Browser, name: str, tmp_path: Path) -> None:
    visit = Visit(browser, embedded, **VIEWS[name])
    page = visit.page
    page.click("text=harbour.pdf")
    page.wait_for_selector("#ds-thumbs li:nth-child(2) img[src]")
    visit.read()
    visit.show(2 if "dark" in name else 1)
    expect(page.locator("#ds-rendered")).to_contain_text(
        "pilots waited for the tide" if "dark" not in name else "Rules for pilots"
    )
    expect(page.locator("#ds-boxes rect")).to_have_count(5 if "dark" in name else 4)
    if "phone" in name:
        page.evaluate("document.getElementById('ds-thumbs').scrollIntoView()")
    else:
        page.locator("#ds-boxes rect").nth(1).hover()
    picture = page.screenshot(animations="disabled")
    folder = Path(os.environ.get("UI_SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    kept = Image.open(io.BytesIO(picture)).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    kept.save(folder / f"{name}.png", optimize=True)
    visit.context.close()
    assert visit.faults == []
