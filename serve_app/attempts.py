"""Climbing the ladder of attempts at a page: the one way, for requests and for bulk jobs."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from deployments.errors import StageLost
from deployments.model.ladder import Attempt

ResultT = TypeVar("ResultT")


async def climb(
    rungs: Sequence[Attempt], attempt: Callable[[Attempt, int, bool], Awaitable[ResultT | None]]
) -> ResultT:
    """Try a page until it ends by itself; what the last rung gives stands.

    An attempt whose process died is repeated on its rung, once a page.

    Args:
        rungs: what to try, first to last; at least one.
        attempt: makes one try, from the rung, the try's number from 1, and whether it is the last. It
            returns None if the page ran away and another rung is left.

    Raises:
        StageLost: a second process died under the page.
    """
    left = list(rungs)
    number, lost = 1, False
    while True:
        try:
            result = await attempt(left[0], number, len(left) == 1)
        except StageLost:
            if lost:
                raise
            lost = True
        else:
            if result is not None:
                return result
            del left[0]
        number += 1
