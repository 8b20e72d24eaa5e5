"""Jobs whose processes are killed: nothing is lost, nothing is twice, little is read again."""

import random
import signal
from collections import Counter
from pathlib import Path

import pytest

from tests.bulk.corpus import pdf, read_table, write_rows
from tests.bulk.processes import alive, below, find, kill, start_driver, wait_until

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
def test_six_kills_lose_nothing_and_repeat_little(tmp_path: Path) -> None:
    manifest, expected = corpus(tmp_path, [50, 1, 1, 1, 12, 30, 2, 8, 7, 40])
    out, log = tmp_path / "out", tmp_path / "log"
    dice = random.Random(3)
    victims = ["driver", "engine", "engine", "raylet", "engine", "driver"]
    # At these numbers of pages read, counted over all runs.
    moments = sorted(dice.sample(range(5, 140), len(victims)))

    driver = start_driver(manifest, out, log, 0.1)
    try:
        for victim, moment in zip(victims, moments, strict=True):
            wait_until(lambda moment=moment: len(lines(log)) >= moment or driver.poll() is not None)
            assert driver.poll() is None, (tmp_path / "driver.log").read_text()
            family = below(driver.pid)
            if victim == "engine":
                kill(wait_until(lambda: find(driver.pid, ACTOR)))
                continue
            kill(driver.pid if victim == "driver" else wait_until(lambda: find(driver.pid, "raylet")))
            assert driver.wait(60) != 0
            wait_until(lambda family=family: not any(alive(pid) for pid in family))
            driver = start_driver(manifest, out, log, 0.1)
        assert driver.wait(90) == 0, (tmp_path / "driver.log").read_text()
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


@pytest.mark.timeout(300)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_an_interrupted_job_says_how_to_go_on_and_does(tmp_path: Path, number: int) -> None:
    manifest, expected = corpus(tmp_path, [30, 3, 3, 3, 3, 3])
    out, log = tmp_path / "out", tmp_path / "log"
    driver = start_driver(manifest, out, log, 0.3)
    wait_until(lambda: len(lines(log)) >= 12)
    family = below(driver.pid)
    driver.send_signal(number)
    assert driver.wait(60) == 130
    wait_until(lambda: not any(alive(pid) for pid in family))
    errors = (tmp_path / "driver.log").read_text()
    assert "Run the same command again to go on" in errors
    assert "Traceback" not in errors

    driver = start_driver(manifest, out, log, 0, strict=True)
    told, _ = driver.communicate(timeout=120)
    assert driver.returncode == 1, "two documents can't be read, which counts with --strict"
    assert "documents  8: 6 whole, 0 in part, 2 not" in told
    assert dict(said(out)) == expected
