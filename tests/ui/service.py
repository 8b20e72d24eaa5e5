"""The page and the HTTP interface in this process, over the real stages and an engine of the test's."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from deployments.model.engine import Engine
from deployments.postprocess.postprocessor import Postprocessor
from deployments.preprocess.orientation import find_orientation
from deployments.preprocess.preprocessor import Preprocessor
from serve_app.api.app import create_app
from serve_app.page_reader import PageReader
from serve_app.settings import load_settings
from serve_app.stages import LocalStages
from serve_app.ui.site import build_site
from tests.fakes import FakeStatus


@contextmanager
def service(engine: Engine, **settings: Any) -> Iterator[str]:
    """Serve in a thread; yields the address."""
    loaded = load_settings(settings)
    preprocessor = Preprocessor(
        loaded.limits,
        loaded.views,
        engine.takes,
        None,
        orientation=find_orientation(loaded.orientation),
    )
    reader = PageReader(LocalStages(preprocessor, engine, Postprocessor()), loaded.reading)
    api = create_app(reader, loaded.api, FakeStatus(engine.name, engine.model), home="ui/")
    app = Starlette(routes=[Mount("/ui", build_site(loaded)), Mount("/", api)])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
        thread = threading.Thread(target=asyncio.run, args=[server.serve([listener])])
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
