"""Where lines of print are on a page's picture.

Rows of a block that have ink, and rows between that have next to none, tell its lines apart; in a line,
columns without ink tell its letters and words apart.
"""

import itertools
import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from deployments.types import Box, Pixels

_EMPTY = 0.05
"""Ink of a row between lines, as part of what a usual row of a line has: letters' tails reach into it."""

_SMALL = 0.35
"""Of the median height: less is a dot or an accent."""

_PITCH = 1.18
"""From line to line, in heights of a line's ink: so many lines that touch each other make a taller one."""

_CONTRAST = 24
"""Least difference, of 255, between ink and paper; a block with less has nothing to find."""


class Stripe(NamedTuple):
    """A line of print, in pixels of the page.

    Attributes:
        top: of its ink.
        bottom: of its ink.
        pieces: from where to where it has ink without a gap, from the left.
    """

    top: float
    bottom: float
    pieces: tuple[tuple[float, float], ...]

    @property
    def start(self) -> float:
        """Left end of its ink."""
        return self.pieces[0][0]

    @property
    def end(self) -> float:
        """Right end of its ink."""
        return self.pieces[-1][1]

    @property
    def width(self) -> float:
        """From end to end."""
        return self.end - self.start

    @property
    def height(self) -> float:
        """Of its ink."""
        return self.bottom - self.top

    def starts(self, gap: float) -> tuple[float, ...]:
        """Return where its words start, if those are as far apart as `gap` at least."""
        before = (-math.inf, *(end for _, end in self.pieces))
        return tuple(
            start for (start, _), end in zip(self.pieces, before, strict=False) if start - end >= gap
        )


class Ink:
    """The print on a page.

    Args:
        picture: the page upright, (height, width, 3) uint8, at any resolution.
        width: of the page in the pixels that boxes are in.
        height: likewise.
    """

    def __init__(self, picture: Pixels, width: int, height: int) -> None:
        self._grey = picture.mean(axis=2, dtype=np.float32)
        self._across = picture.shape[1] / width
        self._down = picture.shape[0] / height

    def stripes(self, box: Box) -> list[Stripe]:
        """Return the lines of print in a box, from above; none where it has no clear ones."""
        left, top = int(box.x1 * self._across), int(box.y1 * self._down)
        right, bottom = int(np.ceil(box.x2 * self._across)), int(np.ceil(box.y2 * self._down))
        ink = _ink(self._grey[max(top, 0) : bottom, max(left, 0) : right])
        found = []
        for y1, y2 in _lines(ink.sum(axis=1)):
            pieces = (left + _runs(ink[y1:y2].sum(axis=0) > 0)) / self._across
            if len(pieces):
                found.append(
                    Stripe(
                        (top + y1) / self._down,
                        (top + y2) / self._down,
                        tuple((float(start), float(end)) for start, end in pieces),
                    )
                )
        return found


def _ink(grey: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Return which pixels are print: those on the rarer side of the middle between ink and paper."""
    if grey.size == 0:
        return np.zeros(grey.shape, np.bool_)
    dark, light = np.percentile(grey, (1, 99))
    if light - dark < _CONTRAST:
        return np.zeros(grey.shape, np.bool_)
    ink: npt.NDArray[np.bool_] = grey < (dark + light) / 2
    return ~ink if ink.mean() > 0.5 else ink


def _runs(marks: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Return from which to before which index each run of True reaches; (runs, 2)."""
    return np.flatnonzero(np.diff(np.pad(marks, 1).astype(np.int8))).reshape(-1, 2)


def _lines(profile: npt.NDArray[np.int64]) -> list[tuple[int, int]]:
    """Return from which to before which row each line reaches.

    Args:
        profile: pixels of ink in each row.
    """
    if not profile.any():
        return []
    usual = float(np.median(profile[profile > 0]))
    runs = _runs(profile > _EMPTY * usual)
    heights = runs[:, 1] - runs[:, 0]
    # Weighted by height, so that dots and accents do not make the median theirs.
    median = float(np.median(np.repeat(heights, heights)))
    lines: list[tuple[int, int]] = []
    for start, end in runs.tolist():
        if end - start < _SMALL * median:
            continue
        count = round(((end - start) / median + _PITCH - 1) / _PITCH)
        lines += _split(profile, start, end, max(1, count))
    return lines


def _split(profile: npt.NDArray[np.int64], start: int, end: int, count: int) -> list[tuple[int, int]]:
    """Cut a run into lines of about one height, each cut where there is least ink."""
    pitch = (end - start) / count
    cuts = [start]
    for number in range(1, count):
        near = round(start + number * pitch)
        reach = max(1, int(pitch / 4))
        cuts.append(near - reach + int(np.argmin(profile[near - reach : near + reach + 1])))
    cuts.append(end)
    return list(itertools.pairwise(cuts))
