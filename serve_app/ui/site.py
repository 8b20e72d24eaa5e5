"""The page as an ASGI application: Gradio's page, our scripts and styles, and what they must know."""

import os
from importlib.resources import files
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.responses import FileResponse
from starlette.responses import JSONResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Scope

from deployments.postprocess.drawing import COLOURS
from serve_app.api.authentication import key_is_required
from serve_app.settings import Settings
from serve_app.ui.security import ReadOnlyPage

EXAMPLES = ("harbour.pdf", "photo.jpg")

_HEAD = (
    '<link rel="stylesheet" href="page/style.css"><link rel="icon" href="page/icon.svg">'
    '<script type="module" src="page/app.js"></script>'
)


class _Files(StaticFiles):
    """Files that browsers ask for anew each time, with what they have: an update is seen at once."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = "no-cache"
        return response


def examples_folder() -> Path:
    """Return where the example documents are: in the package, or beside it in the source tree."""
    packaged = Path(str(files("serve_app.ui"))) / "examples"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "examples"


def facts(settings: Settings) -> dict[str, Any]:
    """Return what the scripts must know."""
    folder = examples_folder()
    return {
        "colours": {type_.value: "#{:02x}{:02x}{:02x}".format(*rgb) for type_, rgb in COLOURS.items()},
        "key_required": key_is_required(settings.api, settings.http.host),
        "max_bytes": settings.api.max_document_bytes,
        "max_pages": settings.api.max_pages_per_request,
        "examples": [name for name in EXAMPLES if (folder / name).is_file()],
    }


def build_site(settings: Settings) -> ASGIApp:
    """Make the application, in the process that serves it."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when gradio is imported
    import gradio as gr

    from serve_app.ui.page import build_page, theme

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    known = facts(settings)

    @app.get("/page/facts.json")
    async def tell() -> Response:
        return JSONResponse(known)

    @app.get("/page/examples/{name}")
    async def example(name: str) -> Response:
        if name not in known["examples"]:
            return JSONResponse({}, 404)
        return FileResponse(examples_folder() / name)

    app.mount("/page", _Files(directory=Path(str(files("serve_app.ui"))) / "static"))
    gr.mount_gradio_app(
        app,
        build_page(),
        path="/",
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        theme=theme(),
        head=_HEAD,
    )
    return ReadOnlyPage(app)
