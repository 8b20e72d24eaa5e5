"""A ledger of pages under way that is no actor."""

from typing import Any

from serve_app.bulk.quarantine import Ledger


class _Remote:
    """A method of the ledger, called in this process."""

    def __init__(self, method: Any) -> None:
        self._method = method

    async def remote(self, *arguments: Any) -> Any:
        return self._method(*arguments)


class HereLedger:
    """See the module."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.note = _Remote(self.ledger.note)
