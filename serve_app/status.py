"""Whether the graph can read pages now."""

import asyncio
import logging
import time

from ray import serve
from ray.exceptions import RayError
from ray.serve._private.common import ReplicaState

from deployments.errors import EngineUnavailable
from deployments.model.selection import EngineChoice
from serve_app.settings import Settings

logger = logging.getLogger(__name__)

REMEMBERED_S = 1.0
"""How long an answer of the Serve controller is good for, so that probes don't become load."""

ANSWERED_WITHIN_S = 3.0
"""How long a probe waits for the controller; what it knew before stands meanwhile."""

STANDS_S = 90.0
"""How long an answer stands while the controller is silent: pages are read without it, and a controller
that died is back within seconds, or, should its node be lost, the whole head with it."""


class GraphStatus:
    """Asks the Serve controller which replicas run.

    While it does not answer, one question at most is open, however many probes come: each takes a
    thread until the controller is back.
    """

    def __init__(self, app_name: str, choice: EngineChoice, settings: Settings) -> None:
        self._app_name = app_name
        self.engine = choice.name
        engines = settings.model
        self.model = engines.vllm.model if choice.name == "vllm" else engines.embedded.model
        self._scales_to_zero = settings.scaling.model.min_replicas == 0
        self._answered_at = float("-inf")
        self._missing: list[str] = []
        self._question: asyncio.Task[None] | None = None

    async def check_ready(self) -> None:
        """Return if every stage has a running replica.

        Raises:
            EngineUnavailable: a stage has none, or nobody knows.
        """
        if time.monotonic() - self._answered_at > REMEMBERED_S:
            if self._question is None:
                self._question = asyncio.create_task(self._ask())
            await asyncio.wait({self._question}, timeout=ANSWERED_WITHIN_S)
            if self._question is not None and self._question.done():
                self._question = None
        if time.monotonic() - self._answered_at > STANDS_S:
            raise EngineUnavailable("The Serve controller does not answer. Try again soon.")
        if self._missing:
            raise EngineUnavailable(
                f"No replica is running yet for: {', '.join(self._missing)}. Try again soon."
            )

    async def _ask(self) -> None:
        try:
            missing = await asyncio.to_thread(self._stages_without_replicas)
        except RayError as error:
            logger.warning("the Serve controller can't be asked: %s", error)
            return
        if missing is not None:
            self._missing, self._answered_at = missing, time.monotonic()

    def _stages_without_replicas(self) -> list[str] | None:
        """Name the deployments of this application that can't take a page.

        None where the controller does not know the application, of which this process is a part: it is
        about to remember.
        """
        application = serve.status().applications.get(self._app_name)
        if application is None:
            return None
        return [
            name
            for name, deployment in application.deployments.items()
            if deployment.replica_states.get(ReplicaState.RUNNING, 0) == 0
            and not (name == "Model" and self._scales_to_zero)
        ]
