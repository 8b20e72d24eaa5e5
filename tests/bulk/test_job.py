"""Jobs on a real Ray: everything but the model is the product."""

import asyncio
import json
import zipfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pymupdf
import pytest

from deployments.errors import InvalidRequest
from deployments.postprocess.postprocessor import Postprocessor
from deployments.preprocess.preprocessor import Preprocessor
from deployments.preprocess.settings import DocumentLimits, ViewSettings
from deployments.types import EngineInput, PageRequest, Task
from serve_app import settings as settings_module
from serve_app.bulk import pipeline
from serve_app.bulk.job import JobFailed
from serve_app.bulk.rows import DOCUMENTS, PAGES, EngineLabel, Times, result_row
from serve_app.page_reader import PageReader, ReadingSettings
from serve_app.reading import PageDone
from serve_app.stages import LocalStages
from tests.bulk.conftest import RunJob
from tests.bulk.corpus import locked_pdf, pdf, png, read_table, write_rows
from tests.bulk.engines import (
    BlockingEngine,
    DeadlyPreparation,
    FatalEngine,
    KilledPreparation,
    MortalEngine,
    NotingEngine,
    UnbornEngine,
    deadly_look,
)
from tests.fake_engine import FakeEngine

pytestmark = pytest.mark.ray


@pytest.fixture
def mixed(tmp_path: Path) -> str:
    """A manifest with good documents of several kinds, and one broken in each way."""
    files = {
        "long.pdf": pdf(range(200, 240)),
        "short.pdf": pdf([300, 310, 320]),
        "picture.png": png(90),
        "broken.pdf": b"%PDF-1.7 and then nothing",
        "locked.pdf": locked_pdf(),
        "empty.pdf": b"",
        "text.txt": b"no document at all",
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    rows: list[dict[str, Any]] = [
        {"doc_id": name, "uri": str(tmp_path / name), "pages": None, "task": None, "prompt": None}
        for name in [*files, "missing.pdf"]
    ]
    uri = str(tmp_path / "short.pdf")
    rows += [
        {"doc_id": "chosen", "uri": uri, "pages": "2,0", "task": "text", "prompt": None},
        {"doc_id": "beyond", "uri": uri, "pages": "7", "task": None, "prompt": None},
        {"doc_id": "failing", "uri": uri, "pages": None, "task": None, "prompt": "fail"},
        {"doc_id": "looping", "uri": uri, "pages": "1", "task": None, "prompt": "loop"},
    ]
    return write_rows(tmp_path / "manifest.parquet", rows)


def test_every_page_and_document_is_accounted_for(run: RunJob, mixed: str, tmp_path: Path) -> None:
    report = run(
        mixed, images=True, markdown=True, exports=("html", "zip", "layout_pdf", "xlsx"), gpu_hour_price=2.0
    )
    pages = {row["page_id"]: row for row in read_table(tmp_path / "out" / "pages")}
    documents = {row["doc_id"]: row for row in read_table(tmp_path / "out" / "documents")}

    assert list(documents) == [row["doc_id"] for row in pq.read_table(mixed).to_pylist()]
    assert [name for name in pages if name.startswith("long.pdf#")] == [
        f"long.pdf#{page:06d}" for page in range(40)
    ]
    assert [pages[f"chosen#{page:06d}"]["status"] for page in (0, 2)] == ["ok", "ok"]
    assert "chosen#000001" not in pages
    errors = {name.rstrip("#"): row["error_code"] for name, row in pages.items() if row["page"] is None}
    assert errors == {
        "broken.pdf": "corrupt_document",
        "locked.pdf": "encrypted_document",
        "empty.pdf": "empty_document",
        "text.txt": "unsupported_media_type",
        "missing.pdf": "document_unavailable",
        "beyond": "invalid_parameter",
    }
    assert {name: documents[name]["status"] for name in documents} == {
        "long.pdf": "ok",
        "short.pdf": "ok",
        "picture.png": "ok",
        **dict.fromkeys(errors, "failed"),
        "chosen": "ok",
        "failing": "partial",
        "looping": "ok",
    }
    failed = pages["failing#000001"]
    assert (failed["status"], failed["error_code"]) == ("failed", "generation_failed")
    assert "told to fail" in failed["error_message"]
    # The second attempt has another window, at which the double stops looping.
    assert pages["looping#000001"]["attempts"] == 2
    assert pages["short.pdf#000002"]["markdown"].startswith("# Page 2 of 320x120")
    assert documents["failing"]["page_count"] == 3
    assert documents["failing"]["pages_ok"] == 2
    unread = "<!-- page 2 -->\n\n<!-- this page could not be read -->\n\n<!-- page 3 -->"
    assert unread in documents["failing"]["markdown"]
    assert "This page could not be read." in (tmp_path / "out" / "html" / "failing.html").read_text()

    assert report["pages"] == {"total": 50, "ok": 49, "runaway": 0, "failed": 1}
    assert report["documents"] == {"total": 12, "ok": 5, "partial": 1, "failed": 6}
    assert report["failures"]["generation_failed"] == 1
    assert report == json.loads((tmp_path / "out" / "report.json").read_text())
    assert "50: 49 read" in (tmp_path / "out" / "report.txt").read_text()
    for folder, schema in (("pages", PAGES), ("documents", DOCUMENTS)):
        for name in (tmp_path / "out" / folder).iterdir():
            assert pq.read_schema(name).equals(schema)

    text = (tmp_path / "out" / "markdown" / "short.pdf.md").read_text()
    assert text == documents["short.pdf"]["markdown"]
    assert "<!-- page 3 -->" in text
    link = "../images/short.pdf/page-0003-img-0.png"
    assert f"({link})" in text
    assert (tmp_path / "out" / "markdown" / link).resolve().read_bytes().startswith(b"\x89PNG")
    web_page = (tmp_path / "out" / "html" / "short.pdf.html").read_text()
    assert "Page 2 of 320x120" in web_page
    assert web_page.count('src="data:image/png;base64,') == 3
    with zipfile.ZipFile(tmp_path / "out" / "zip" / "short.pdf.zip") as packed:
        figure = (tmp_path / "out" / "images" / "short.pdf" / "page-0003-img-0.png").read_bytes()
        assert packed.read("page-0003-img-0.png") == figure
    assert (tmp_path / "out" / "xlsx" / "picture.png_tables.xlsx").read_bytes().startswith(b"PK")
    with pymupdf.open(tmp_path / "out" / "layout_pdf" / "short.pdf_layouts.pdf") as layouts:
        assert "1 title" in layouts[2].get_text()
    assert not (tmp_path / "out" / "html" / "broken.pdf.html").exists()


def test_a_page_is_the_same_online_and_in_bulk(run: RunJob, tmp_path: Path) -> None:
    data = pdf([300, 310, 320])
    (tmp_path / "a.pdf").write_bytes(data)
    request = PageRequest(dpi=100)
    rows = [
        {"doc_id": "plain", "uri": str(tmp_path / "a.pdf"), "prompt": None},
        {"doc_id": "loop", "uri": str(tmp_path / "a.pdf"), "prompt": "loop"},
    ]
    run(write_rows(tmp_path / "m.parquet", rows), request=request)
    in_bulk = {row["page_id"]: row for row in read_table(tmp_path / "out" / "pages")}

    async def online(doc_id: str, asked: PageRequest) -> list[dict[str, Any]]:
        preprocessor = Preprocessor(DocumentLimits(), ViewSettings(), EngineInput.PAGE, None)
        reader = PageReader(LocalStages(preprocessor, FakeEngine(), Postprocessor()), ReadingSettings())
        events = [event async for event in reader.read(data, [0, 1, 2], asked)]
        label = EngineLabel("fake", "fake", None)
        return [
            result_row(doc_id, 3, event.result, label, Times())
            for event in events
            if isinstance(event, PageDone)
        ]

    expected = asyncio.run(online("plain", request))
    expected += asyncio.run(online("loop", replace(request, task=Task.CUSTOM, prompt="loop")))
    assert len(expected) == len(in_bulk) == 6
    for row in expected:
        same = [name for name in PAGES.names if name != "seconds"]
        assert {name: row.get(name) for name in same} == {
            name: in_bulk[row["page_id"]][name] for name in same
        }


def test_running_a_finished_job_again_reads_nothing(run: RunJob, tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(pdf(range(200, 220)))
    manifest = write_rows(tmp_path / "m.parquet", [{"doc_id": "a", "uri": str(tmp_path / "a.pdf")}])
    create = partial(NotingEngine, str(tmp_path / "log"))
    first = run(manifest, create=create)
    before = read_table(tmp_path / "out" / "pages")
    second = run(manifest, create=create)
    assert len((tmp_path / "log").read_text().splitlines()) == 20
    assert read_table(tmp_path / "out" / "pages") == before
    assert second["pages"] == first["pages"]


def test_only_what_failed_is_read_again_when_asked(run: RunJob, tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(pdf([200, 201, 202]))
    (tmp_path / "late.pdf").write_bytes(b"")
    rows = [
        {"doc_id": "a", "uri": str(tmp_path / "a.pdf"), "prompt": "fail"},
        {"doc_id": "late", "uri": str(tmp_path / "late.pdf"), "prompt": None},
    ]
    manifest = write_rows(tmp_path / "m.parquet", rows)
    log = tmp_path / "log"
    report = run(manifest, create=partial(NotingEngine, str(log)))
    assert report["pages"]["failed"] == 1
    assert report["documents"]["failed"] == 1

    (tmp_path / "late.pdf").write_bytes(pdf([300, 301]))
    log.write_text("")
    report = run(manifest, create=partial(NotingEngine, str(log)), retry_failed=True)
    assert sorted(line.split()[1] for line in log.read_text().splitlines()) == ["300x120", "301x120"]
    pages = {row["page_id"]: row["status"] for row in read_table(tmp_path / "out" / "pages")}
    assert pages == {
        "a#000000": "ok",
        "a#000001": "failed",
        "a#000002": "ok",
        "late#000000": "ok",
        "late#000001": "ok",
    }


def test_another_job_does_not_get_mixed_in(run: RunJob, tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(pdf([200]))
    (tmp_path / "b.pdf").write_bytes(pdf([300]))
    one = write_rows(tmp_path / "1.parquet", [{"doc_id": "a", "uri": str(tmp_path / "a.pdf")}])
    two = write_rows(tmp_path / "2.parquet", [{"doc_id": "b", "uri": str(tmp_path / "b.pdf")}])
    run(one)
    with pytest.raises(InvalidRequest, match="manifest changed"):
        run(two)
    with pytest.raises(InvalidRequest, match="task changed"):
        run(one, request=PageRequest(task=Task.TEXT, dpi=72))
    assert [row["doc_id"] for row in read_table(tmp_path / "out" / "pages")] == ["a"]
    run(two, overwrite=True)
    assert [row["doc_id"] for row in read_table(tmp_path / "out" / "pages")] == ["b"]


def test_an_engine_that_dies_is_replaced(run: RunJob, tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(pdf(range(200, 210)))
    (tmp_path / "deaths").mkdir()
    manifest = write_rows(tmp_path / "m.parquet", [{"doc_id": "a", "uri": str(tmp_path / "a.pdf")}])
    report = run(manifest, create=partial(MortalEngine, str(tmp_path / "deaths"), 2))
    assert report["pages"]["ok"] == 10


def test_an_engine_that_always_dies_ends_the_job(run: RunJob, tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(pdf(range(200, 230)))
    (tmp_path / "deaths").mkdir()
    manifest = write_rows(tmp_path / "m.parquet", [{"doc_id": "a", "uri": str(tmp_path / "a.pdf")}])
    with pytest.raises(JobFailed, match="died 13 times"):
        run(manifest, create=partial(MortalEngine, str(tmp_path / "deaths"), 10**6))


def test_an_engine_that_cannot_start_ends_the_job(run: RunJob, tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(pdf([200]))
    manifest = write_rows(tmp_path / "m.parquet", [{"doc_id": "a", "uri": str(tmp_path / "a.pdf")}])
    with pytest.raises(JobFailed, match="no model in the folder"):
        run(manifest, create=UnbornEngine)


def test_an_output_that_cannot_be_written_ends_the_job(run: RunJob, tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(pdf([200]))
    manifest = write_rows(tmp_path / "m.parquet", [{"doc_id": "a", "uri": str(tmp_path / "a.pdf")}])
    with pytest.raises(JobFailed, match="can't be written"):
        run(manifest, create=partial(BlockingEngine, str(tmp_path / "out" / "_job" / "parts")))


def test_pages_that_kill_the_engines_process_are_failed_pages(run: RunJob, tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(pdf([*range(200, 206), 666, *range(207, 213)]))
    (tmp_path / "b.pdf").write_bytes(pdf([666]))
    rows = [{"doc_id": name, "uri": str(tmp_path / f"{name}.pdf")} for name in "ab"]
    manifest = write_rows(tmp_path / "m.parquet", rows)
    log = tmp_path / "log"
    run(manifest, create=partial(FatalEngine, str(log), 0.05), bulk={"pages_in_flight": 4})
    found = {row["page_id"]: row for row in read_table(tmp_path / "out" / "pages")}
    fatal = {name: row for name, row in found.items() if row["status"] != "ok"}
    assert list(found) == [*(f"a#{page:06d}" for page in range(13)), "b#000000"]
    assert list(fatal) == ["a#000006", "b#000000"]
    assert {row["error_code"] for row in fatal.values()} == {"fatal_page"}
    assert {row["attempts"] for row in fatal.values()} == {3}
    assert "the last time with no other" in fatal["b#000000"]["error_message"]
    lines = log.read_text().splitlines()
    assert 3 <= sum(line.endswith("died") for line in lines) <= 6


def test_a_document_that_kills_the_sandbox_fails_as_it_does_online(
    run: RunJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pages").write_bytes(pdf([200, 201, 202, 203]))
    (tmp_path / "whole").write_bytes(pdf([777]))
    rows = [{"doc_id": name, "uri": str(tmp_path / name)} for name in ("pages", "whole")]
    monkeypatch.setattr(settings_module, "Preparation", KilledPreparation)
    run(write_rows(tmp_path / "m.parquet", rows))
    found = {row["page_id"]: row["error_code"] for row in read_table(tmp_path / "out" / "pages")}
    assert found == {
        "pages#000000": None,
        "pages#000001": None,
        "pages#000002": "corrupt_page",
        "pages#000003": None,
        "whole#": "corrupt_document",
    }


def test_a_page_that_kills_its_worker_is_one_failed_page(
    run: RunJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.pdf").write_bytes(pdf([200, 201, 666, 203, 204]))
    manifest = write_rows(tmp_path / "m.parquet", [{"doc_id": "a", "uri": str(tmp_path / "a.pdf")}])
    monkeypatch.setattr(settings_module, "Preparation", DeadlyPreparation)
    run(manifest)
    rows = read_table(tmp_path / "out" / "pages")
    assert [row["error_code"] for row in rows] == [None, None, "stage_lost", None, None]


def test_a_document_that_kills_its_worker_is_one_failed_document(
    run: RunJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        (tmp_path / name).write_bytes(pdf([200]))
    rows = [{"doc_id": name, "uri": str(tmp_path / name)} for name in "abc"]
    monkeypatch.setattr(pipeline, "look_into", deadly_look)
    run(write_rows(tmp_path / "m.parquet", rows))
    found = read_table(tmp_path / "out" / "pages")
    assert [(row["page_id"], row["error_code"]) for row in found] == [
        ("a#000000", None),
        ("b#", "stage_lost"),
        ("c#000000", None),
    ]
