"""Tasks that are ended, and work that is not."""

import asyncio
import logging
from collections.abc import Awaitable
from typing import Any, TypeVar

logger = logging.getLogger(__name__)

T = TypeVar("T")


async def stopped(*tasks: "asyncio.Task[Any] | None") -> None:
    """Cancel tasks and wait until they have freed what they held; None is a task that is not there."""
    there = [task for task in tasks if task is not None]
    for task in there:
        task.cancel()
    await asyncio.gather(*there, return_exceptions=True)


async def settled(work: Awaitable[T]) -> T:
    """Await work that must not be left half done; a cancellation waits for its end."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.warning("work that was to be left failed at its end: %s", error)
        raise
