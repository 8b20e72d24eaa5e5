"""The figures of the report, and the lines of progress."""

from collections import Counter

import pytest

from serve_app.bulk.outputs import Tally
from serve_app.bulk.progress import Progress
from serve_app.bulk.report import as_text, make_report


def test_figures_follow_from_what_was_read_and_how_long_it_took() -> None:
    tally = Tally(
        documents=Counter(ok=3, partial=1, failed=1),
        pages=Counter(ok=970, runaway=20, failed=10),
        errors=Counter(generation_failed=10, corrupt_document=1),
        attempts=Counter({"1": 940, "2": 30, "3": 20}),
        tokens=Counter(prompt=990 * 1130, output=990 * 1010),
    )
    runs = [{"seconds": 60.0, "pages": 600, "gpus": 2}, {"seconds": 40.0, "pages": 400, "gpus": 2}]
    report = make_report(tally, runs, gpu_hour_price=3.0)
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
    report = make_report(Tally(), [], gpu_hour_price=3.0)
    assert report["cost_per_million_pages"] is None
    assert "0.00 pages/s" in as_text(report)


def test_plain_lines_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(documents=4, interval_s=0) as progress:
        progress.add(pages=20, failed=1, documents=1.0)
        progress.add(pages=20, failed=0, documents=1.0)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("dsocr: 25.0%, 20 pages, ")
    assert "1 failed" in lines[1]
    assert lines[1].endswith(" left")
