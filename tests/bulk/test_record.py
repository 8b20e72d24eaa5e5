"""A job's folder: what is begun anew, what goes on, and that nothing of anybody else's is touched."""

import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import pytest

from deployments.errors import InvalidRequest
from serve_app.bulk import record
from serve_app.bulk.store import Store

PART = "_job/parts/000001-a-b.parquet"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def claim(
    out: Path,
    manifest: str = "one",
    exports: Iterable[str] = (),
    sources: Iterable[str] = (),
    *,
    overwrite: bool = False,
) -> None:
    store = Store(str(out), record.TEMPORARY)
    record.claim(store, {"manifest": manifest}, exports, sources, overwrite=overwrite)


def put(out: Path, *names: str) -> None:
    for name in names:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text("x")


def files(out: Path) -> set[str]:
    found = (path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())
    return {name for name in found if not name.startswith("_job/") or name == PART}


@pytest.mark.parametrize("name", ["pages", "documents", "markdown", "images", "pdf"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_folders_that_no_job_wrote_are_never_touched(out: Path, name: str, *, overwrite: bool) -> None:
    put(out, f"{name}/mine.pdf", "notes.txt")
    with pytest.raises(InvalidRequest, match=f"has a folder {name}"):
        claim(out, exports=["pdf"], overwrite=overwrite)
    assert files(out) == {f"{name}/mine.pdf", "notes.txt"}


def test_a_folder_that_came_later_is_not_this_job_s_either(out: Path) -> None:
    claim(out)
    put(out, "pdf/mine.pdf")
    with pytest.raises(InvalidRequest, match="has a folder pdf"):
        claim(out, exports=["pdf"])
    claim(out, "two", overwrite=True)
    assert files(out) == {"pdf/mine.pdf"}


def test_what_is_to_be_read_does_not_lie_among_the_results(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim(out)
    put(out, "images/scan.png", PART)
    monkeypatch.chdir(out)
    for source in (out / "images" / "scan.png", "images/scan.png", f"file://{out}/pages/m.parquet"):
        with pytest.raises(InvalidRequest, match="lies in a folder of the results"):
            claim(out, "two", sources=["elsewhere.pdf", str(source)], overwrite=True)
    assert files(out) == {"images/scan.png", PART}
    claim(out, sources=[str(out / "scans" / "a.pdf"), "s3://bucket/pages/a.pdf", "\0/a.pdf"])


def test_neither_a_folder_of_manifests_nor_a_link_leads_past_that(out: Path, tmp_path: Path) -> None:
    claim(out)
    put(out, "documents/m.parquet")
    (tmp_path / "link").symlink_to(out)
    for folder, source in (
        (out, out / "documents"),
        (out, tmp_path / "link" / "documents"),
        (tmp_path / "link", out / "documents" / "m.parquet"),
    ):
        with pytest.raises(InvalidRequest, match="lies in a folder of the results"):
            claim(folder, "two", sources=[str(source)], overwrite=True)
    assert files(out) == {"documents/m.parquet"}


def test_an_interrupted_job_goes_on_with_overwrite_too(out: Path) -> None:
    claim(out, "another")
    put(out, "pages/part-00000.parquet", "report.json")
    claim(out, overwrite=True)
    assert files(out) == set()
    put(out, PART)
    claim(out, overwrite=True)
    assert files(out) == {PART}, "the same command again, before it was finished"
    put(out, "report.json", "report.txt")
    claim(out, overwrite=True)
    assert files(out) == set(), "once it is finished, it begins anew"


@pytest.mark.parametrize("kept", range(12))
def test_a_deletion_that_is_cut_short_leaves_no_parts_to_the_next_job(
    out: Path, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim(out, exports=["html"])
    put(out, PART, "pages/a", "html/a.html", "report.json", "report.txt", "_job/runs/000001.json")
    left = kept

    def delete_folder(store: Store, name: str) -> None:
        """File by file in the order of names, as object storage does it."""
        nonlocal left
        for path in sorted(path for path in (out / name).rglob("*") if path.is_file()):
            left -= 1
            if left < 0:
                raise KeyboardInterrupt
            path.unlink()
        shutil.rmtree(out / name, ignore_errors=True)

    with monkeypatch.context() as patched, suppress(KeyboardInterrupt):
        patched.setattr(Store, "delete_folder", delete_folder)
        claim(out, "two", overwrite=True)
    claim(out, "two", overwrite=True)
    assert files(out) == set()
    assert record.all_runs(Store(str(out))) == []


def test_another_job_s_files_of_all_formats_go(out: Path) -> None:
    claim(out, exports=["html", "xlsx"])
    put(out, "pages/a", "html/a.html", "xlsx/a.xlsx", "report.json", "report.txt", "README")
    with pytest.raises(InvalidRequest, match="manifest changed"):
        claim(out, "two")
    claim(out, "two", overwrite=True)
    assert files(out) == {"README"}
