"""Files written whole or not at all."""

import errno
import pickle
import threading
from pathlib import Path

import pytest

from deployments.errors import InvalidRequest
from serve_app.bulk.store import Store


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    store = Store(str(tmp_path), "_job/tmp")
    versions = [bytes([letter]) * 200_000 for letter in b"abc"]
    store.write("report", versions[0])
    seen: set[bytes] = set()
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            seen.add(store.read("report"))

    reader = threading.Thread(target=look)
    reader.start()
    for _ in range(30):
        for version in versions:
            store.write("report", version)
    stop.set()
    reader.join()
    assert seen <= set(versions)


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(str(tmp_path), "_job/tmp")
    store.write("pages/part.parquet", b"old")

    def full(_: int) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="no space"):
        store.write("pages/part.parquet", b"new")
    assert store.read("pages/part.parquet") == b"old"
    assert store.names("pages") == ["pages/part.parquet"]


def test_a_store_travels_to_another_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sent = pickle.dumps(Store("out", "_job/tmp"))
    monkeypatch.chdir("/")
    pickle.loads(sent).write("a/b", b"data")  # noqa: S301 - made a line above
    assert (tmp_path / "out" / "a" / "b").read_bytes() == b"data"


def test_folders_are_listed_and_deleted(tmp_path: Path) -> None:
    store = Store(f"file://{tmp_path}")
    assert store.names("nothing") == []
    store.write("a/2", b"")
    store.write("a/1", b"")
    assert store.names("a") == ["a/1", "a/2"]
    assert store.exists("a")
    store.delete_folder("a")
    store.delete_folder("a")
    assert not store.exists("a")


@pytest.mark.parametrize("uri", ["https://host/file", "s3://", "ftp://x"])
def test_other_schemes_are_refused(uri: str) -> None:
    with pytest.raises(InvalidRequest, match="s3://bucket/key"):
        Store(uri)


def test_a_write_that_fails_leaves_no_half_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("serve_app.bulk.store.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        Store(str(tmp_path)).write("pages/a", b"x" * 1000)
    assert not list((tmp_path / "pages").iterdir())
