"""Jobs whose processes are killed: nothing is lost, nothing is twice, little is read again."""

import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from tests.bulk.corpus import pdf, read_table, write_rows
from tests.bulk.processes import alive, find, kill, start_driver, wait_until

pytestmark = pytest.mark.ray

GROUP = 8
ACTOR = "ray::MapWorker(MapBatches(ReadGroups))"


def corpus(folder: Path, sizes: list[int]) -> tuple[str, dict[str, str]]:
    """A manifest of PDFs with so many pages each, one broken and one missing; and what their pages say."""
    rows, expected = [], {}
    width = 200
    for number, size in enumerate(sizes):
        name = f"doc-{number:02d}"
        (folder / name).write_bytes(pdf(range(width, width + size)))
        rows.append({"doc_id": name, "uri": str(folder / name)})
        for page in range(size):
            expected[f"{name}#{page:06d}"] = f"# Page {page} of {width + page}x120"
        width += size
    (folder / "broken").write_bytes(b"%PDF-1.7 broken")
    rows.insert(3, {"doc_id": "broken", "uri": str(folder / "broken")})
    rows.insert(5, {"doc_id": "missing", "uri": str(folder / "missing")})
    expected |= {"broken#": "corrupt_document", "missing#": "document_unavailable"}
    return write_rows(folder / "manifest.parquet", rows), expected


def said(out: Path) -> list[tuple[str, str]]:
    """What the output has: of each row its name, and its first line or error."""
    return [
        (row["page_id"], row["error_code"] or row["markdown"].split("\n")[0])
        for row in read_table(out / "pages")
    ]


def lines(log: Path) -> list[str]:
    return log.read_text().splitlines() if log.exists() else []


@pytest.mark.timeout(600)
def test_five_kills_lose_nothing_and_repeat_little(tmp_path: Path) -> None:
    manifest, expected = corpus(tmp_path, [50, 1, 1, 1, 12, 30, 2, 8, 7, 40])
    out, log = tmp_path / "out", tmp_path / "log"
    victims = ["engine", "driver", "engine", "raylet", "engine"]
    # At these numbers of pages read, counted over all runs.
    moments = sorted(random.Random(3).sample(range(5, 140), len(victims)))

    driver = start_driver(manifest, out, log, 0.1)
    try:
        for victim, moment in zip(victims, moments, strict=True):
            until_read(log, moment, driver)
            kill(wait_until(partial(victim_of, driver.pid, victim)))
            if victim != "engine":
                assert driver.wait(120) != 0
                wait_until(partial(no_actors_of, log))
                driver = start_driver(manifest, out, log, 0.1)
        assert driver.wait(120) == 0, (tmp_path / "driver.log").read_text()
    finally:
        if driver.poll() is None:
            kill(driver.pid)
            driver.wait()

    found = said(out)
    assert len(found) == len(set(found))
    assert dict(found) == expected
    read = Counter(line.split()[1] for line in lines(log))
    again = sum(read.values()) - len(read)
    assert again <= 2 * GROUP * len(victims), read
    report = json.loads((out / "report.json").read_text())
    assert report["pages_read"] >= report["pages"]["total"], "those of runs that were killed count"


def victim_of(driver: int, name: str) -> int | None:
    return {"driver": driver, "engine": find(driver, ACTOR), "raylet": find(driver, "raylet")}[name]


def no_actors_of(log: Path) -> bool:
    """Whether every process that ever read a page is gone, as they are when their Ray is."""
    return not any(alive(int(pid)) for pid in {line.split()[0] for line in lines(log)})


def until_read(log: Path, count: int, driver: subprocess.Popen[bytes]) -> None:
    """Wait until so many pages were read."""
    wait_until(lambda: len(lines(log)) >= count or driver.poll() is not None)
    assert driver.poll() is None, "the driver ended early"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_an_interrupted_job_says_how_to_go_on_and_does(tmp_path: Path, number: int) -> None:
    manifest, expected = corpus(tmp_path, [90, 3, 3, 3, 3, 3])
    out, log = tmp_path / "out", tmp_path / "log"
    driver = start_driver(manifest, out, log, 0.3)
    until_read(log, 12, driver)
    driver.send_signal(number)
    assert driver.wait(60) == 130
    wait_until(partial(no_actors_of, log))
    errors = (tmp_path / "driver.log").read_text()
    assert "Run the same command again to go on" in errors
    assert "Traceback" not in errors

    if number == signal.SIGTERM:
        return
    driver = start_driver(manifest, out, log, 0, strict=True)
    assert driver.wait(120) == 1, "two documents can't be read, which counts with --strict"
    assert "documents  8: 6 whole, 0 in part, 2 not" in (tmp_path / "driver.out").read_text()
    assert dict(said(out)) == expected


AFTER_THE_SIGNAL = """
import signal, sys, threading
import ray
from ray._private.ray_logging import global_worker_stdstream_dispatcher as arriving
from serve_app.bulk.job import stopped_by_signals
from serve_app.cluster import connected

def said(words):
    there = threading.Event()
    arriving.add_handler(words, lambda data: words in str(data["lines"]) and there.set())
    ray.get(ray.remote(lambda: print(words)).remote())
    assert there.wait(60)

with connected(), stopped_by_signals():
    said("at work")
    try:
        signal.raise_signal(int(sys.argv[1]))
    except KeyboardInterrupt:
        said("at its end")
"""


@pytest.mark.timeout(180)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_what_workers_say_of_their_end_is_not_shown(number: int) -> None:
    """One that Ray ended while it closed a document used to leave its traceback on the user's screen."""
    command = [sys.executable, "-c", AFTER_THE_SIGNAL, str(int(number))]
    environment = {**os.environ, "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
    environment.pop("RAY_ADDRESS", None)
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)  # noqa: S603
    shown = ended.stdout + ended.stderr
    assert "at work" in shown
    assert "at its end" not in shown
