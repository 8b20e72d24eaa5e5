"""What the HTTP interface asks of the service behind it, beside reading documents."""

from typing import Protocol


class ServiceStatus(Protocol):
    """The service's state.

    Attributes:
        engine: the engine's name, as in the settings.
        model: what it runs, as replies name it.
    """

    @property
    def engine(self) -> str:
        """Return the engine's name."""
        ...

    @property
    def model(self) -> str:
        """Return the model's name."""
        ...

    async def ready(self) -> bool:
        """Return whether pages can be read now.

        Raises:
            EngineUnavailable: they can't, and why.
        """
        ...
