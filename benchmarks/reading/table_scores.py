"""How well tables are read: cells in their places, and the likeness of the whole as a tree."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from apted import APTED, Config
from rapidfuzz.distance import Levenshtein

from benchmarks.reading.normal_text import folded
from deployments.postprocess import tables
from deployments.postprocess.tables import TableGrid

_PIPE_ROW = re.compile(r"^[ \t]*\|.*\|[ \t]*$")
_PIPE_RULE = re.compile(r"^[ \t]*\|(?:[ \t]*:?-+:?[ \t]*\|)+[ \t]*$")
_LARGEST_TREE = 600
"""Cells of the larger table above which no tree distance is computed: it takes cubic time."""


@dataclass(frozen=True, slots=True)
class CellCount:
    """Cells of tables: how many are right, how many the truth has, how many were written."""

    right: int = 0
    wanted: int = 0
    written: int = 0

    def __add__(self, other: "CellCount") -> "CellCount":
        return CellCount(self.right + other.right, self.wanted + other.wanted, self.written + other.written)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 1 where there is nothing to read and nothing was read."""
        total = self.wanted + self.written
        return 2 * self.right / total if total else 1.0


def tables_in(markdown: str) -> list[TableGrid]:
    """Return the tables of a page: HTML's and Markdown's pipe tables, in their order."""
    found: list[TableGrid] = []
    for segment in tables.parse(markdown):
        if isinstance(segment, TableGrid):
            found.append(segment)
        else:
            found.extend(_pipe_tables(segment))
    return found


def score_tables(truth: Sequence[TableGrid], found: Sequence[TableGrid]) -> tuple[CellCount, list[float]]:
    """Compare the tables of a page; each true one with the one found that is most like it.

    Returns:
        The cells of all tables, those of tables that match none counted as wrong; and for each true table
        its TEDS, 0 where none was found.
    """
    pairs = sorted(
        (
            (count_cells(wanted, given), i, j)
            for i, wanted in enumerate(truth)
            for j, given in enumerate(found)
        ),
        key=lambda pair: -pair[0].f1,
    )
    partner: dict[int, int] = {}
    total = CellCount()
    for count, i, j in pairs:
        if i not in partner and j not in partner.values():
            partner[i] = j
            total += count
    for i, wanted in enumerate(truth):
        if i not in partner:
            total += CellCount(0, len(_filled(wanted)), 0)
    for j, given in enumerate(found):
        if j not in partner.values():
            total += CellCount(0, 0, len(_filled(given)))
    return total, [teds(wanted, found[partner[i]]) if i in partner else 0.0 for i, wanted in enumerate(truth)]


def count_cells(truth: TableGrid, found: TableGrid) -> CellCount:
    """Count cells that stand in the right row and column, span what they should and say the right thing.

    Empty cells don't count. Letter case does, spaces don't.
    """
    wanted, given = _filled(truth), _filled(found)
    return CellCount(len(wanted & given), len(wanted), len(given))


def teds(truth: TableGrid, found: TableGrid) -> float:
    """Return the tree-edit-distance-based similarity of two tables (Zhong et al. 2020), 0 to 1.

    A cell that is replaced costs 1 if its spans differ, else the normalised edit distance of its text.
    """
    size = max(len(truth.cells), len(found.cells))
    if size > _LARGEST_TREE:
        return count_cells(truth, found).f1
    distance = APTED(_tree(truth), _tree(found), _Costs()).compute_edit_distance()
    nodes = max(_size(truth), _size(found))
    return float(max(0.0, 1 - distance / nodes))


@dataclass(frozen=True, slots=True)
class _Node:
    tag: str
    spans: tuple[int, int] = (1, 1)
    text: str = ""
    children: tuple["_Node", ...] = ()


class _Costs(Config):  # type: ignore[misc]  # apted has no types
    """What it costs to make one node of another."""

    def rename(self, first: _Node, second: _Node) -> float:
        """Return the cost of replacing a node."""
        if first.tag != second.tag or first.spans != second.spans:
            return 1.0
        return float(Levenshtein.normalized_distance(first.text, second.text))

    def children(self, node: _Node) -> tuple[_Node, ...]:
        """Return a node's children."""
        return node.children


def _tree(grid: TableGrid) -> _Node:
    rows: dict[int, list[_Node]] = {row: [] for row in range(grid.rows)}
    for cell in grid.cells:
        rows[cell.row].append(_Node("td", (cell.rowspan, cell.colspan), _key(cell.text)))
    return _Node("table", children=tuple(_Node("tr", children=tuple(cells)) for cells in rows.values()))


def _size(grid: TableGrid) -> int:
    return 1 + grid.rows + len(grid.cells)


def _key(text: str) -> str:
    return folded(text).replace(" ", "")


def _filled(grid: TableGrid) -> set[tuple[int, int, int, int, str]]:
    return {
        (cell.row, cell.column, cell.rowspan, cell.colspan, key)
        for cell in grid.cells
        if (key := _key(cell.text))
    }


def _pipe_tables(text: str) -> list[TableGrid]:
    found: list[TableGrid] = []
    rows: list[str] = []
    for line in [*text.split("\n"), ""]:
        if _PIPE_ROW.match(line):
            rows.append(line)
            continue
        if len(rows) > 1 and _PIPE_RULE.match(rows[1]):
            cells = [
                tables.Cell(cell.strip().replace("\\|", "|"), number, column)
                for number, row in enumerate([rows[0], *rows[2:]])
                for column, cell in enumerate(re.split(r"(?<!\\)\|", row.strip())[1:-1])
            ]
            found.append(TableGrid(len(rows) - 1, 1 + max(cell.column for cell in cells), tuple(cells)))
        rows = []
    return found
