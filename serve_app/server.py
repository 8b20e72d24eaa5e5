"""`dsocr serve`: the graph on this machine, in the foreground."""

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

import click
from ray import serve
from ray.exceptions import RayError
from ray.serve.config import HTTPOptions, ProxyLocation
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle
from ray.serve.schema import LoggingConfig

from deployments.errors import ConfigurationError
from deployments.model.selection import choose_engine
from serve_app.api.authentication import check_protection
from serve_app.cluster import cluster_resources, connected, is_given, kill_processes, lost_processes
from serve_app.graph import APP_NAME, build_app
from serve_app.settings import HttpSettings, Settings
from serve_app.sizing import check_fits
from serve_app.ui.application import UI_APP_NAME, UI_ROUTE, build_ui
from serve_app.ui.presence import OFF, wanted

logger = logging.getLogger(__name__)

WATCH_S = 1.0
"""Between two looks at Ray's processes."""

CLOSING_S = 0.2
"""Between two looks at what is under way at the end."""

ANSWERED_WITHIN_S = 10.0
"""How long the ingress may take to say what is under way."""

LOST = 70
"""Exit status where Ray itself was lost: EX_SOFTWARE of sysexits.h."""


def run_server(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM, answer what is under way and stop; a second signal stops at once.

    So does the first one while the service starts. Should Ray itself die, the process exits with status 70.

    Raises:
        ConfigurationError: the port is taken, the engine can't run here, or the service would be open to all.
    """
    check_protection(settings.api, settings.http.host)
    _check_port(settings.http.host, settings.http.port)
    signals = _Signals()
    with connected():
        signals.listen()  # not before: Ray puts a handler of its own in the place of SIGTERM's
        logging.getLogger("ray.serve").setLevel(logging.WARNING)
        try:
            with _watched_ray():
                ingress = _start(settings)
                signals.ready.set()
                signals.stop.wait()
                click.echo("dsocr: stopping …", err=True)
                _answer_what_is_under_way(ingress, settings.http.drain_s, signals.at_once)
        except KeyboardInterrupt:
            click.echo("dsocr: stopping before it was ready …", err=True)
            if not is_given():
                return  # a Ray of our own takes Serve along
        serve.shutdown()


def _start(settings: Settings) -> DeploymentHandle[Any]:
    """Start the service and say where it is; returns the ingress."""
    click.echo("dsocr: starting …", err=True)
    host, port, page = settings.http.host, settings.http.port, wanted(settings.ui)
    resources = cluster_resources()
    choice = choose_engine(settings.model, resources.gpus)
    if not is_given():
        check_fits(settings.scaling, settings.model, choice.name, resources)
    start_serve(settings.http)
    ingress = serve.run(build_app(settings, resources), name=APP_NAME, route_prefix="/")
    if page:
        serve.run(build_ui(settings), name=UI_APP_NAME, route_prefix=UI_ROUTE)
    address = f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}"  # noqa: S104 - compared, not bound
    click.echo(f"dsocr: ready at {address} with the {choice.name} engine ({choice.reason})")
    click.echo(f"dsocr: the page is at {address}/ui/" if page else f"dsocr: {OFF}")
    click.echo(f"dsocr: try  curl -F file=@examples/harbour.pdf {address}/v1/ocr")
    return ingress


def start_serve(http: HttpSettings) -> None:
    """Start Serve with one proxy, on this machine; the service has a request log of its own."""
    serve.start(
        proxy_location=ProxyLocation.HeadOnly,
        http_options=HTTPOptions(host=http.host, port=http.port),
        logging_config=LoggingConfig(log_level=logging.WARNING),
    )


class _Signals:
    """What SIGINT and SIGTERM ask for: once the service is ready, to stop, and the second time, at once.

    Before, they raise KeyboardInterrupt: an engine may take minutes to start, or never be ready.
    """

    def __init__(self) -> None:
        self.ready, self.stop, self.at_once = threading.Event(), threading.Event(), threading.Event()

    def listen(self) -> None:
        """Take the place of other handlers."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._signalled)

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        if not self.ready.is_set():
            raise KeyboardInterrupt
        if self.stop.is_set():
            self.at_once.set()
        self.stop.set()


def _answer_what_is_under_way(
    ingress: DeploymentHandle[Any], limit_s: float, at_once: threading.Event
) -> None:
    """Let no more work in, and wait for what is under way; Serve's own shutdown would cut it off.

    Args:
        ingress: handle of the deployment.
        limit_s: longest wait.
        at_once: ends the wait.
    """
    deadline = time.monotonic() + limit_s
    said = False
    while True:
        try:
            # Each time anew: a replica that was about to start must be told too.
            under_way = sum(ingress.broadcast("close_door").results(timeout_s=ANSWERED_WITHIN_S))
        except (RayError, RayServeException, TimeoutError) as error:
            logger.warning("the ingress can't be asked what is under way: %s", error)
            return
        if not under_way:
            return
        if not said:
            click.echo(f"dsocr: requests under way: {under_way}; a second signal cuts them off", err=True)
            said = True
        if at_once.wait(min(CLOSING_S, max(deadline - time.monotonic(), 0))) or time.monotonic() >= deadline:
            click.echo(f"dsocr: requests cut off: {under_way}", err=True)
            return


@contextmanager
def _watched_ray() -> Iterator[None]:
    """Look after Ray's processes while the service starts, serves and drains, not while Ray is shut down."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(WATCH_S):
            if lost := lost_processes():
                _give_up(lost)

    threading.Thread(target=watch, daemon=True, name="watch-ray").start()
    try:
        yield
    finally:
        ended.set()


def _give_up(lost: list[str]) -> NoReturn:
    """End this process at once, for whoever supervises it to start it anew.

    Ray can't be put right from here: its own shutdown asks what has died, and without that waits for a
    minute, in which a dead service would hold the port. So what is left of it is killed.
    """
    click.echo(
        f"dsocr: Ray's {' and '.join(lost)} died; the service ends and can be started anew. Jobs go on then.",
        err=True,
    )
    kill_processes()
    os._exit(LOST)


def _check_port(host: str, port: int) -> None:
    """Raise if the port can't be listened on; Serve itself would retry for minutes."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigurationError(
                f"Can't listen on {host}:{port} ({error.strerror}); choose another with --port."
            ) from error
