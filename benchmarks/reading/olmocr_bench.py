"""olmOCR-bench: facts about pages, each true or false of what was read.

The format is that of https://huggingface.co/datasets/allenai/olmOCR-bench: JSON lines beside a folder
`pdfs`, a test a line with `pdf`, `page` (from 1), `id`, `type`, `max_diffs` and what the type asks for.
The rules are those its README states: text is compared without Markdown's marks, in one form of Unicode,
hyphen and quote; all facts pass or fail. A formula passes if the page has it in LaTeX up to spaces and
braces; the original renders both and compares the pictures, so formulas written differently fail here.
Footnotes and formats other than headings are counted as not run.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rapidfuzz import fuzz

from benchmarks.reading.answer import Answer
from benchmarks.reading.distances import best_fit, near_ends
from benchmarks.reading.normal_text import folded, unmarked
from benchmarks.reading.readers import Reader
from benchmarks.reading.structure_scores import headings_in
from benchmarks.reading.table_scores import tables_in
from benchmarks.reading.truth import TruthPage
from deployments.postprocess.tables import TableGrid

Outcome = Literal["passed", "failed", "not run"]
_OTHER_SCRIPTS = re.compile("[\u3040-\u30ff\u4e00-\u9fff\U0001f1e0-\U0001f1ff\U0001f300-\U0001f6ff]")
"""Chinese, Japanese and pictographs, which none of its pages has; from its own list."""
_MATH = re.compile(r"\$\$(.+?)\$\$|\\\[(.+?)\\\]|\\\((.+?)\\\)|\$(.+?)\$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Case:
    """A page and the tests of it."""

    page: TruthPage
    tests: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class TestResult:
    """How a test ended."""

    __test__ = False  # no test of pytest's

    id: str
    kind: str
    type: str
    outcome: Outcome


def cases_of(folder: Path, limit: int | None = None) -> list[Case]:
    """Return the pages that tests are about, with their tests.

    Args:
        folder: `bench_data`, which holds JSON lines and `pdfs`.
        limit: most pages.
    """
    found: dict[tuple[str, int, str], list[dict[str, Any]]] = {}
    for file in sorted(folder.glob("*.jsonl")):
        for line in file.read_text("utf-8").splitlines():
            if line.strip():
                test = json.loads(line)
                found.setdefault((test["pdf"], int(test["page"]), file.stem), []).append(test)
    cases = []
    for (name, number, kind), tests in list(found.items())[:limit]:
        data = (folder / "pdfs" / name).read_bytes()
        page = TruthPage(f"{Path(name).stem}-{number}", kind, data, (), number - 1, whole=False)
        cases.append(Case(page, tuple(tests)))
    return cases


def run_tests(cases: Sequence[Case], reader: Reader) -> list[TestResult]:
    """Read each page and run its tests, and the baseline test that the original adds for every page."""
    results = []
    for case in cases:
        answer = reader.read(case.page) or Answer(error="can't be read")
        for test in case.tests:
            outcome = check(test, answer.markdown)
            results.append(TestResult(test["id"], case.page.kind, test["type"], outcome))
        if all(test["type"] != "baseline" for test in case.tests):
            outcome = check({"type": "baseline"}, answer.markdown)
            results.append(TestResult(f"{case.page.name}_baseline", "baseline", "baseline", outcome))
    return results


def summarise(results: Sequence[TestResult]) -> dict[str, dict[str, int]]:
    """Return for each kind, and for all, how many tests passed, were run, and were not."""
    counts: dict[str, dict[str, int]] = {}
    for result in results:
        for kind in ("all", result.kind, f"type {result.type}"):
            row = counts.setdefault(kind, {"passed": 0, "run": 0, "not_run": 0})
            row["passed"] += result.outcome == "passed"
            row["run"] += result.outcome != "not run"
            row["not_run"] += result.outcome == "not run"
    return counts


def check(test: dict[str, Any], markdown: str) -> Outcome:
    """Run one test on what was read."""
    checks: dict[str, Callable[[dict[str, Any], str], bool]] = {
        "present": _is_present,
        "absent": lambda test, text: not _is_present(test, text),
        "order": _is_in_order,
        "table": _has_cell,
        "math": _has_formula,
        "baseline": _is_sound,
    }
    run = checks.get(test["type"])
    if run is None and test["type"] == "format" and test.get("format") == "heading":
        run = _is_heading
    if run is None:
        return "not run"
    return "passed" if run(test, markdown) else "failed"


def _is_present(test: dict[str, Any], markdown: str) -> bool:
    wanted, text = folded(test["text"]), unmarked(markdown)
    if not test.get("case_sensitive", True):
        wanted, text = wanted.lower(), text.lower()
    first, last = test.get("first_n"), test.get("last_n")
    if first or last:
        text = (text[:first] if first else "") + (text[-last:] if last else "")
    most = int(test.get("max_diffs") or 0)
    return wanted in text or (most > 0 and best_fit(wanted, text).distance <= most)


def _is_in_order(test: dict[str, Any], markdown: str) -> bool:
    text, most = unmarked(markdown), int(test.get("max_diffs") or 0)
    before, after = (near_ends(folded(test[side]), text, most) for side in ("before", "after"))
    shift = len(folded(test["before"])) - len(folded(test["after"]))
    # Ends are known, starts are wanted: they differ by the lengths of the two.
    return bool(before and after) and min(before) - shift < max(after)


def _is_heading(test: dict[str, Any], markdown: str) -> bool:
    wanted, most = folded(test["text"]), int(test.get("max_diffs") or 0)
    return any(best_fit(wanted, heading).distance <= most for heading in headings_in(markdown))


def _has_cell(test: dict[str, Any], markdown: str) -> bool:
    most = int(test.get("max_diffs") or 0)
    for grid in tables_in(markdown):
        places = _places(grid)
        for place, text in places.items():
            if _same(test["cell"], text, most) and _fits(test, place, places, most):
                return True
    return False


def _fits(
    test: dict[str, Any], place: tuple[int, int], places: dict[tuple[int, int], str], most: int
) -> bool:
    row, column = place
    for side, step in {"up": (-1, 0), "down": (1, 0), "left": (0, -1), "right": (0, 1)}.items():
        if test.get(side):
            neighbour = _next(place, step, places)
            if neighbour is None or not _same(test[side], places[neighbour], most):
                return False
    heads = {
        "top_heading": [text for (r, c), text in places.items() if c == column and r < row],
        "left_heading": [text for (r, c), text in places.items() if r == row and c < column],
    }
    return all(
        any(_same(test[side], text, most) for text in texts if text)
        for side, texts in heads.items()
        if test.get(side)
    )


def _next(
    place: tuple[int, int], step: tuple[int, int], places: dict[tuple[int, int], str]
) -> tuple[int, int] | None:
    """Return the next place in a direction that holds another cell; a span is passed over whole."""
    row, column = place[0] + step[0], place[1] + step[1]
    while (row, column) in places and places[row, column] == places[place] and places[place]:
        row, column = row + step[0], column + step[1]
    return (row, column) if (row, column) in places else None


def _places(grid: TableGrid) -> dict[tuple[int, int], str]:
    """Return the text at each place of a table, a span's text at all of its places."""
    return {
        (row, column): folded(cell.text)
        for cell in grid.cells
        for row in range(cell.row, cell.row + cell.rowspan)
        for column in range(cell.column, cell.column + cell.colspan)
    }


def _same(wanted: str, text: str, most: int) -> bool:
    """Tell whether two cells are as alike as the original asks: 1 - max_diffs / length, at least 0.5."""
    wanted = folded(wanted)
    return fuzz.ratio(wanted, text) / 100 >= max(0.5, 1 - most / max(1, len(wanted)))


def _has_formula(test: dict[str, Any], markdown: str) -> bool:
    wanted = _bare(test["math"])
    return any(wanted in _bare("".join(groups)) for groups in _MATH.findall(markdown))


def _bare(latex: str) -> str:
    return re.sub(r"\\(?:left|right|,|;|!|quad|displaystyle|mathrm|text)\b|\\[,;!]|[\s{}$]", "", latex)


def _is_sound(test: dict[str, Any], markdown: str) -> bool:
    """Tell whether a page says something, in its own script and without end; or nothing if it is blank."""
    letters = sum(character.isalnum() for character in markdown)
    most = test.get("max_length")
    if most is not None:
        return letters <= int(most)
    tail = re.search(r"(.{1,40}?)\1{30,}\s*$", markdown[-4000:], re.DOTALL)
    strange = test.get("check_disallowed_characters", True) and _OTHER_SCRIPTS.search(markdown)
    return letters > 0 and tail is None and not strange
