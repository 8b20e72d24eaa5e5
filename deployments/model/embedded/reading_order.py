"""The order in which blocks of a page are read.

The two rules are Breuel's (High Performance Document Layout Analysis, 2003): a block comes before
another if it stands above it and they share columns; or if it stands wholly to its left and no block
that spans both stands between them.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from deployments.types import Box

_SLACK = 0.1  # the part of the narrower box that two boxes may share and still count as side by side


def reading_order(boxes: Sequence[Box]) -> list[int]:
    """Return the indices of the boxes in reading order: a permutation, the same for the same boxes.

    Args:
        boxes: of one page, in any order.
    """
    if not boxes:
        return []
    before = _precedence(np.array(boxes, np.float64))
    start = sorted(range(len(boxes)), key=lambda index: (boxes[index].y1, boxes[index].x1, index))
    rank = {index: position for position, index in enumerate(start)}
    order: list[int] = []
    seen: set[int] = set()
    for root in start:
        # Depth first, all that must come before a block first. The rules may form a cycle on odd
        # pages; a block met again while its own predecessors are visited is passed over.
        stack = [(root, False)]
        while stack:
            index, done = stack.pop()
            if done:
                order.append(index)
            elif index not in seen:
                seen.add(index)
                stack.append((index, True))
                earlier = sorted(
                    np.flatnonzero(before[:, index]).tolist(), key=rank.__getitem__, reverse=True
                )
                stack.extend((other, False) for other in earlier if other not in seen)
    return order


def _precedence(boxes: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Return a matrix, shape (n, n): whether box i comes before box j by one of the two rules."""
    x1, y1, x2, y2 = boxes.T
    widths = x2 - x1
    shared = np.minimum(x2[:, None], x2) - np.maximum(x1[:, None], x1)
    same_column = shared > _SLACK * np.minimum(widths[:, None], widths)
    middle = (y1 + y2) / 2
    above = middle[:, None] < middle
    before = same_column & above
    centre = (x1 + x2) / 2
    left = ~same_column & (centre[:, None] < centre)
    for i, j in np.argwhere(left):
        low, high = sorted((middle[i], middle[j]))
        between = (middle > low) & (middle < high) & same_column[i] & same_column[j]
        before[i, j] = not between.any()
    return np.asarray(before, np.bool_)
