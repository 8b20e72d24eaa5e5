"""The figures of the report, and the lines of progress."""

import random
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.bulk.outputs import Tally
from serve_app.bulk.progress import Progress, Progressed
from serve_app.bulk.report import as_text, make_report


def test_figures_follow_from_what_was_read_and_how_long_it_took() -> None:
    tally = Tally(
        documents=Counter(ok=3, partial=1, failed=1),
        pages=Counter(ok=970, runaway=20, failed=10),
        errors=Counter(generation_failed=10, corrupt_document=1),
        attempts=Counter({"1": 940, "2": 30, "3": 20}),
        tokens=Counter(prompt=990 * 1130, output=990 * 1010),
    )
    runs = [{"seconds": 60.0, "gpus": 2}, {"seconds": 40.0, "gpus": 2}]
    report = make_report(tally, 1000, runs, gpu_hour_price=3.0)
    assert report["pages_per_second"] == 10
    assert report["pages_per_day"] == 864_000
    assert report["runaway_rate"] == pytest.approx(20 / 990)
    assert report["retried_rate"] == pytest.approx(50 / 990)
    assert report["output_tokens_per_page"] == 1010
    assert report["gpu_hours"] == pytest.approx(200 / 3600)
    # 2 GPUs at 3 an hour read 36,000 pages an hour.
    assert report["cost_per_million_pages"] == pytest.approx(6 / 36_000 * 1e6)
    text = as_text(report)
    assert "166.67 a million pages, at 3 a GPU hour" in text
    assert "failure    generation_failed: 10" in text


def test_an_empty_report_has_no_cost_and_divides_by_nothing() -> None:
    report = make_report(Tally(), 0, [], gpu_hour_price=3.0)
    assert report["cost_per_million_pages"] is None
    assert "0.00 pages/s" in as_text(report)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets the time that progress is told."""
    now = [0.0]
    monkeypatch.setattr("serve_app.bulk.progress.time.monotonic", lambda: now[0])

    def set_time(seconds: float) -> None:
        now[0] = seconds

    return set_time


def test_plain_lines_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str], clock: Callable[[float], None]
) -> None:
    with Progress(documents=2, interval_s=0) as progress:
        for second, step in enumerate(
            [
                Progressed(pages=20, failed=1, opened=1, opened_pages=40),
                Progressed(pages=20, failed=0, opened=0, opened_pages=0),
                Progressed(pages=20, failed=0, opened=1, opened_pages=80),
            ]
        ):
            clock(600 + second * 10)
            progress.add(step)
    assert capsys.readouterr().err.splitlines() == [
        "dsocr: 25.0%, 20 pages, 1 failed",
        # Of the second document nothing is known yet.
        "dsocr: 50.0%, 40 pages, 2.00/s, 1 failed, at least 0:00 left",
        # The ten minutes before the first page are no part of the speed.
        "dsocr: 50.0%, 60 pages, 2.00/s, 1 failed, 0:30 left",
    ]


@given(st.lists(st.integers(1, 400), min_size=60, max_size=80), st.integers(0, 2**32))
def test_the_time_left_follows_the_pages_and_not_the_documents(sizes: list[int], seed: int) -> None:
    """Whatever documents come first, what is left of opened ones counts in full, and others as their mean."""
    progress = Progress(documents=len(sizes), interval_s=float("inf"))
    order = random.Random(seed).sample(sizes, len(sizes))
    for size in order[:30]:
        progress.add(Progressed(pages=size // 2, failed=0, opened=1, opened_pages=size))
    done = sum(size // 2 for size in order[:30])
    mean = sum(order[:30]) / 30
    assert progress._left() == (
        pytest.approx(sum(order[:30]) - done + mean * (len(sizes) - 30)),
        True,
    )
    for size in order[:30]:
        progress.add(Progressed(pages=size - size // 2, failed=0, opened=0, opened_pages=0))
    for size in order[30:]:
        progress.add(Progressed(pages=size, failed=0, opened=1, opened_pages=size))
    assert progress._left() == (0, True)
