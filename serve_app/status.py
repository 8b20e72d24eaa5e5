"""Whether the graph can read pages now."""

import asyncio
import time

from ray import serve
from ray.serve._private.common import ReplicaState

from deployments.errors import EngineUnavailable
from deployments.model.selection import EngineChoice
from serve_app.settings import Settings

REMEMBERED_S = 1.0
"""How long an answer of the Serve controller is good for, so that probes don't become load."""


class GraphStatus:
    """Asks the Serve controller which replicas run."""

    def __init__(self, app_name: str, choice: EngineChoice, settings: Settings) -> None:
        self._app_name = app_name
        self.engine = choice.name
        self.model = (
            settings.model.vllm.model
            if choice.name == "vllm"
            else "embedded-ppocrv6-" + settings.model.embedded.weights
        )
        self._scales_to_zero = settings.scaling.model.min_replicas == 0
        self._asked_at = float("-inf")
        self._missing: list[str] = []

    async def check_ready(self) -> None:
        """Return if every stage has a running replica.

        Raises:
            EngineUnavailable: a stage has none.
        """
        if time.monotonic() - self._asked_at > REMEMBERED_S:
            self._missing = await asyncio.to_thread(self._stages_without_replicas)
            self._asked_at = time.monotonic()
        if self._missing:
            raise EngineUnavailable(
                f"No replica is running yet for: {', '.join(self._missing)}. Try again soon."
            )

    def _stages_without_replicas(self) -> list[str]:
        """Name the deployments of this application that can't take a page."""
        application = serve.status().applications.get(self._app_name)
        if application is None:
            return ["the application"]
        return [
            name
            for name, deployment in application.deployments.items()
            if deployment.replica_states.get(ReplicaState.RUNNING, 0) == 0
            and not (name == "Model" and self._scales_to_zero)
        ]
