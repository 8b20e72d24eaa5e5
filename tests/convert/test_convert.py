"""Converting in this process and through a service: the same files come out."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deployments.errors import CorruptDocument, CorruptPage, GenerationFailed
from deployments.types import Generation, PageRequest
from serve_app.api.schemas import OcrOptions, OcrReply
from serve_app.client import ServiceClient
from serve_app.convert import ConversionReport, convert
from serve_app.converter import Converter
from serve_app.formats import ResultFormat
from serve_app.local_converter import LocalConverter
from serve_app.reading import PageDone
from tests.fake_engine import FakeEngine
from tests.fakes import PNG, FakeReader, make_app, page_result, serving

pytestmark = pytest.mark.anyio


@pytest.fixture
def reader() -> FakeReader:
    return FakeReader(page_count=3)


@pytest.fixture(params=["in process", "through a service"])
async def converter(request: pytest.FixtureRequest, reader: FakeReader) -> AsyncIterator[Converter]:
    async with AsyncExitStack() as stack:
        made: Converter
        if request.param == "in process":
            made = LocalConverter(reader, FakeEngine(), max_pages=100)
        else:
            made = ServiceClient(await stack.enter_async_context(serving(make_app(reader))))
        stack.push_async_callback(made.close)
        yield made


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "a" / "x.pdf", tmp_path / "b" / "x.pdf"]
    for path in paths:
        path.parent.mkdir()
        path.write_bytes(b"%PDF")
    return paths


async def run(
    converter: Converter, files: list[Path], out: Path, *, max_bytes: int = 1000, **options: Any
) -> ConversionReport:
    asked = OcrOptions.model_validate({"include_image_base64": True, **options})
    return await convert(files, out, converter, asked, max_bytes=max_bytes, progress=False)


async def test_each_document_becomes_a_folder(
    converter: Converter, files: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "deep" / "out"
    report = await run(converter, files, out)
    assert report == ConversionReport(converted=2, pages=6)
    assert report.exit_code == 0
    assert sorted(path.name for path in out.iterdir()) == ["x", "x-2"]
    for name in ("x", "x-2"):
        folder = out / name
        markdown = (folder / f"{name}.md").read_text()
        assert re.findall(r"^# Page \d$", markdown, re.MULTILINE) == ["# Page 0", "# Page 1", "# Page 2"]
        links = re.findall(r"!\[(.+?)\]\((.+?)\)", markdown)
        assert len(set(links)) == 6
        for text, target in links:
            assert text == target
            assert (folder / target).read_bytes() == PNG
        result = OcrReply.model_validate_json((folder / "result.json").read_text())
        assert [page.index for page in result.pages] == [0, 1, 2]
        assert [image.id for image in result.pages[2].images] == ["img-2-0.png", "img-2-1.png"]
        assert result.pages[2].blocks is not None
        assert [block.image_id for block in result.pages[2].blocks if block.image_id] == [
            "img-2-0.png",
            "img-2-1.png",
        ]
        assert "base64" not in (folder / "result.json").read_text()
        assert result.usage_info.pages_processed == 3


async def test_options_reach_the_reader(
    converter: Converter, reader: FakeReader, files: list[Path], tmp_path: Path
) -> None:
    options: dict[str, Any] = {
        "pages": "2,0-1",
        "dpi": 200,
        "crop": False,
        "task": "custom",
        "prompt": "<image>\nSay.",
    }
    await run(converter, files[:1], tmp_path / "out", **options)
    (request,) = reader.requests
    assert (request.dpi, request.crop, request.task, request.prompt) == (
        200,
        False,
        "custom",
        "<image>\nSay.",
    )
    result = json.loads((tmp_path / "out" / "x" / "result.json").read_text())
    assert [page["index"] for page in result["pages"]] == [2, 0, 1], "in the order asked for"


async def test_a_bad_page_is_named_and_the_rest_is_written(
    converter: Converter,
    reader: FakeReader,
    files: list[Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    reader.ends = {1: CorruptPage("It is damaged -- badly.")}
    report = await run(converter, files[:1], tmp_path / "out")
    assert report == ConversionReport(converted=1, incomplete=1, pages=2)
    assert report.exit_code == 1
    assert f"{files[0]}: page 2 (--pages 1): It is damaged" in capsys.readouterr().err
    markdown = (tmp_path / "out" / "x" / "x.md").read_text()
    assert "<!-- page 2 could not be read: It is damaged - - badly. -->" in markdown
    assert "# Page 2" in markdown


@pytest.mark.parametrize("when", ["inspecting", "reading"])
async def test_a_document_that_fails_leaves_nothing(
    converter: Converter,
    reader: FakeReader,
    files: list[Path],
    tmp_path: Path,
    when: str,
) -> None:
    if when == "inspecting":
        reader.inspect_error = CorruptDocument("It is damaged.")
    else:
        reader.ends = {index: GenerationFailed("It is damaged.") for index in range(3)}
    report = await run(converter, files, tmp_path / "out")
    assert report.failed == 2
    assert report.exit_code == 1
    assert list((tmp_path / "out").iterdir()) == []


async def test_a_file_that_cannot_be_taken_leaves_the_others(
    converter: Converter, files: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    large = tmp_path / "large.pdf"
    large.write_bytes(b"x" * 1001)
    report = await run(converter, [large, tmp_path / "missing.pdf", *files], tmp_path / "out")
    assert (report.failed, report.converted, report.exit_code) == (2, 2, 1)
    assert str(report) == "2 converted (6 pages), 2 failed"
    told = capsys.readouterr().err
    assert "1001 bytes; at most 1000" in told
    assert "missing.pdf" in told


async def test_converting_again_replaces_what_was_there(
    converter: Converter, files: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    await run(converter, files[:1], out)
    (out / "x" / "mine.txt").write_text("kept")
    (out / "x" / "x.md").write_text("old")
    await run(converter, files[:1], out, pages="0")
    assert (out / "x" / "x.md").read_text().count("# Page") == 1
    assert (out / "x" / "mine.txt").read_text() == "kept"


async def test_files_are_under_way_in_a_bounded_number(tmp_path: Path) -> None:
    reader = FakeReader(gate=asyncio.Event())
    files = [tmp_path / f"{number}.pdf" for number in range(5)]
    for file in files:
        file.write_bytes(b"%PDF")
    options = OcrOptions.model_validate({"include_image_base64": True})
    converter = LocalConverter(reader, FakeEngine(), max_pages=100)
    work = asyncio.create_task(
        convert(files, tmp_path / "out", converter, options, max_bytes=99, concurrency=2, progress=False)
    )
    await reader.began.wait()
    assert len(reader.requests) <= 2
    assert reader.gate is not None
    reader.gate.set()
    assert (await work).converted == 5


async def test_an_interrupted_conversion_closes_the_reader_and_leaves_nothing(
    converter: Converter, reader: FakeReader, files: list[Path], tmp_path: Path
) -> None:
    reader.gate = asyncio.Event()
    work = asyncio.create_task(run(converter, files[:1], tmp_path / "out"))
    await reader.began.wait()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    await reader.closed.wait()
    assert list((tmp_path / "out").iterdir()) == []


async def test_a_bar_over_pages(
    converter: Converter, files: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = OcrOptions.model_validate({"include_image_base64": True})
    await convert(files, tmp_path / "out", converter, options, max_bytes=1000, progress=True)
    assert "6/6" in capsys.readouterr().err


class RebuildingReader(FakeReader):
    """Gives a page for each text, with the text as a table's cell."""

    async def rebuild(
        self, document: bytes, texts: Mapping[int, Generation], request: PageRequest, **_: Any
    ) -> AsyncIterator[PageDone]:
        for index, generation in texts.items():
            yield PageDone(replace(page_result(index), generation=generation))


async def test_other_files_are_made_of_what_was_read(files: list[Path], tmp_path: Path) -> None:
    reader = RebuildingReader(page_count=2)
    async with serving(make_app(reader)) as address:
        for name, converter in (
            ("here", LocalConverter(reader, FakeEngine(), max_pages=100)),
            ("there", ServiceClient(address)),
        ):
            asked = OcrOptions(include_raw=True)
            report = await convert(
                files[:1],
                tmp_path / name,
                converter,
                asked,
                max_bytes=1000,
                progress=False,
                formats=[ResultFormat.HTML, ResultFormat.CSV],
            )
            await converter.close()
            assert report.exit_code == 0
    for name in ("x.html", "x_tables.csv"):
        here, there = (tmp_path / place / "x" / name for place in ("here", "there"))
        assert here.read_bytes() == there.read_bytes()
    assert "2024,7" in here.read_text()
