"""`dsocr convert` and the other commands, as they are typed: what they refuse, and how they stop."""

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from serve_app.cli import main


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "page.pdf"
    path.write_bytes(b"%PDF")
    return path


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a command that is refused says."""
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    assert ended.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--merge"], "--export html"),
        (["--merge", "--export", "pdf"], "--export html"),
        (["--server", "http://127.0.0.1:9", "--engine", "embedded"], "--engine"),
        (["--task", "custom"], "needs a prompt"),
        (["--prompt", "Read this."], 'goes with the task "custom"'),
        (["--server", "127.0.0.1:9"], "such as http://127.0.0.1:8000"),
        (["--server", "http://127.0.0.1:9/v1/ocr"], "alone: http://127.0.0.1:9"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_written(
    options: list[str], words: str, page: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert words in said(capsys, "convert", str(page), "--out", str(tmp_path / "out"), *options)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", [["doctor"], ["jobs", "list"]])
@pytest.mark.parametrize("address", ["localhost:8000", "ftp://127.0.0.1", "http://", "[", "nowhere"])
def test_an_address_that_is_none(
    command: list[str], address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert f"{address} is no address of a service" in said(capsys, *command, "--server", address)


def test_a_folder_that_cannot_be_made(page: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    out = str(tmp_path / "file" / "out")
    words = said(capsys, "convert", str(page), "--out", out, "--server", "http://127.0.0.1:9")
    assert words.startswith("dsocr: ")
    assert out in words


def test_a_conversion_that_is_terminated_leaves_nothing_half_done(page: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        server = f"http://127.0.0.1:{silent.getsockname()[1]}"
        command = ["-c", "from serve_app.cli import main; main()", "convert", str(page)]
        process = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, *command, "--out", str(out), "--server", server], stderr=subprocess.PIPE
        )
        with silent.accept()[0]:
            assert len(list(out.iterdir())) == 1, "it has begun"
            process.send_signal(signal.SIGTERM)
            _, words = process.communicate(timeout=60)
    assert process.returncode == 143
    assert b"stopped" in words
    assert b"Traceback" not in words
    assert list(out.iterdir()) == []
