"""What the HTTP interface asks of the service behind it, beside reading documents."""

from typing import Protocol


class ServiceStatus(Protocol):
    """The service's state."""

    @property
    def engine(self) -> str:
        """The engine's name, as in the settings."""
        ...

    @property
    def model(self) -> str:
        """What the engine runs, as replies name it."""
        ...

    async def check_ready(self) -> None:
        """Return if pages can be read now.

        Raises:
            EngineUnavailable: they can't, and why.
        """
        ...
