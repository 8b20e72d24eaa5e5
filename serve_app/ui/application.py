"""The page as a Ray Serve application of its own, at `/ui` beside the HTTP interface.

serve run --name dsocr-ui --route-prefix /ui serve_app.ui.application:app_builder
"""

from typing import Any

from ray import serve
from ray.serve import Application
from starlette.types import ASGIApp

from serve_app.logs import log_to_stderr
from serve_app.settings import Settings, load_settings
from serve_app.ui.site import build_site

UI_APP_NAME = "dsocr-ui"
UI_ROUTE = "/ui"


@serve.ingress()
class UiDeployment:
    """Serves the page's files; the browser does the rest."""

    def __init__(self, settings: Settings) -> None:
        log_to_stderr()
        self._settings = settings

    def __serve_build_asgi_app__(self) -> ASGIApp:
        """Build the application in the replica's own process."""
        return build_site(self._settings)


def build_ui(settings: Settings) -> Application:
    """Bind the page's one deployment."""
    deployment = serve.deployment(
        name="Ui",
        num_replicas=1,
        max_ongoing_requests=200,
        graceful_shutdown_timeout_s=5,
        graceful_shutdown_wait_loop_s=0.5,
        logging_config={"log_level": "WARNING"},
        ray_actor_options={"num_cpus": 0},
    )
    return deployment(UiDeployment).bind(settings)


def app_builder(args: dict[str, Any]) -> Application:
    """Make the application for `serve run` and `serve deploy`, from the same settings as the service.

    Args:
        args: a tree of settings.

    Raises:
        ConfigurationError: a key is unknown or a value can't be.
    """
    return build_ui(load_settings(args))
