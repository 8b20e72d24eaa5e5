"""One owner of a folder at a time.

Serve may start a new runner while the old one still drains, a machine may be cut off and come back,
and two services may be set up on one folder. So the runner claims the folder in a file, renews the
claim, and looks at it before each renewal. A claim that has not changed for a while, as the newcomer
itself measures it, is void: clocks of different machines are never compared. Where two newcomers write
at once, the later write stands, and the other sees it before it begins.

S3 and Cloud Storage have no rename or lock to build on here, so there is a last crack: an owner that
is held up between its look and its work may overlap with the next one for one renewal. Pages have one
file each, written whole, so that even then none is in a result twice.
"""

import asyncio
import json
import logging
import secrets
from typing import Any

from serve_app.bulk.store import Store

logger = logging.getLogger(__name__)

FILE = "owner.json"


class Lease:
    """The claim of one process.

    Args:
        files: the folder.
        beat_s: how often it is renewed.
        stale_s: after which time without a change another's claim is void.
    """

    def __init__(self, files: Store, beat_s: float, stale_s: float) -> None:
        self._files = files
        self._beat_s = beat_s
        self._stale_s = stale_s
        self._owner = secrets.token_hex(8)
        self._beats = 0

    async def acquire(self) -> None:
        """Return once the folder is ours.

        Raises:
            OSError: the storage can't be reached.
        """
        clock = asyncio.get_running_loop().time
        seen, since = await self._read(), clock()
        while True:
            if seen is None or clock() - since >= self._stale_s:
                await self._write()
                await asyncio.sleep(min(self._beat_s, 1))
                if await self._is_ours():
                    return
                seen, since = await self._read(), clock()
            await asyncio.sleep(self._beat_s / 2)
            now = await self._read()
            if now != seen:
                seen, since = now, clock()

    async def keep(self) -> None:
        """Renew the claim for as long as it is ours; return when it is lost."""
        clock = asyncio.get_running_loop().time
        good = clock()
        while True:
            await asyncio.sleep(self._beat_s)
            try:
                if not await self._is_ours():
                    return
                await self._write()
                good = clock()
            except OSError as error:
                logger.warning("the claim on the jobs could not be renewed: %s", error)
                if clock() - good >= self._stale_s:
                    return

    async def release(self) -> None:
        """Give the folder up, so that the next owner need not wait."""
        if await self._is_ours():
            await asyncio.to_thread(self._files.delete, [FILE])

    async def _is_ours(self) -> bool:
        found = await self._read()
        return found is not None and found.get("owner") == self._owner

    async def _read(self) -> dict[str, Any] | None:
        try:
            found = json.loads(await asyncio.to_thread(self._files.read, FILE))
        except FileNotFoundError:
            return None
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    async def _write(self) -> None:
        self._beats += 1
        claim = {"owner": self._owner, "beats": self._beats}
        await asyncio.to_thread(self._files.write, FILE, json.dumps(claim).encode())
