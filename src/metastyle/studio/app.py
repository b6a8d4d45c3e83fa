"""The studio's HTTP interface, and the page."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

import metastyle
from metastyle.errors import MetastyleError
from metastyle.files import one_line
from metastyle.studio import assets, clips, items, work
from metastyle.studio.forms import ErrorAnswer
from metastyle.studio.guard import FOR_GOOD, HEADERS, Guard, Scope
from metastyle.studio.queue import Queue
from metastyle.studio.settings import StudioSettings
from metastyle.studio.store import FullError, Store, without_paths

_NO_PAGE = (
    "<!doctype html><title>metastyle studio</title><p>The page has not been built: run "
    "<code>make studio</code> in the project's folder. "
    "The interface for programs is described at <a href=/api/openapi.json>/api/openapi.json</a>."
)


def create_app(settings: StudioSettings) -> FastAPI:
    """The studio as an ASGI application; its worker runs while the application does.

    Raises:
        MetastyleError: the studio's folder cannot be used.
    """
    store = Store(settings.folder, settings.limits)
    queue = Queue(store, settings)

    @contextlib.asynccontextmanager
    async def running(_: FastAPI) -> AsyncIterator[None]:
        queue.start(asyncio.get_running_loop())
        yield
        await asyncio.to_thread(queue.close)
        store.close()

    wrong = {code: {"model": ErrorAnswer} for code in (404, 413, 422, 503, 507)}
    app = FastAPI(
        title="metastyle studio",
        version=metastyle.__version__,
        description="A painting in, a style out; a photograph and a style in, a picture out.",
        lifespan=running,
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
        responses=wrong,  # type: ignore[arg-type]
    )
    app.state.store, app.state.queue, app.state.settings = store, queue, settings
    app.add_middleware(Guard, settings=settings)
    app.include_router(items.router)
    app.include_router(work.router)
    app.include_router(clips.router)
    _add_assets(app)
    _add_errors(app, settings)
    if assets.PAGE.is_dir():
        app.mount("/", _Page(directory=assets.PAGE, html=True))
    else:
        app.add_api_route("/", lambda: Response(_NO_PAGE, media_type="text/html"), include_in_schema=False)
    return app


def _add_assets(app: FastAPI) -> None:
    """What the page computes with. Made once, kept in memory."""

    @app.get("/model/model.json", include_in_schema=False)
    def model() -> dict[str, Any]:
        return assets.model()

    @app.get("/model/site.json", include_in_schema=False)
    def site() -> dict[str, bool]:
        return {"server": True, "films": clips.films_can_be_made()}

    @app.get("/model/{name}", include_in_schema=False)
    def file(request: Request, name: str) -> Response:
        if name not in assets.FILES:
            raise HTTPException(404, "there is no such file")
        known = {"etag": assets.tag(name), "cache-control": "no-cache"}
        if request.headers.get("if-none-match") == known["etag"]:
            return Response(status_code=304, headers=known)
        kind = "image/jpeg" if name.endswith(".jpg") else "application/octet-stream"
        return Response(assets.FILES[name](), media_type=kind, headers=known)


class _Page(StaticFiles):
    """The built page. Files of the build have their digest in their name: browsers keep them for good."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        answer = await super().get_response(path, scope)
        kept = path.startswith("assets/") and answer.status_code == 200
        answer.headers["cache-control"] = FOR_GOOD if kept else "no-cache"
        return answer


def _add_errors(app: FastAPI, settings: StudioSettings) -> None:
    """Every error is a line of JSON."""

    @app.exception_handler(FullError)
    async def full(_: Request, error: FullError) -> Response:
        return _error(503, str(error), {"retry-after": "30"})

    @app.exception_handler(MetastyleError)
    async def refused(_: Request, error: MetastyleError) -> Response:
        return _error(422, without_paths(str(error), settings.folder))

    @app.exception_handler(RequestValidationError)
    async def malformed(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part != "body")
        return _error(422, one_line(f"{where}: {first['msg']}" if where else first["msg"]))

    @app.exception_handler(HTTPException)
    async def plain(_: Request, error: HTTPException) -> Response:
        return _error(error.status_code, str(error.detail), dict(error.headers or {}))

    @app.exception_handler(ClientDisconnect)
    async def gone(_: Request, error: ClientDisconnect) -> Response:
        return _error(400, "the request ended early")  # nobody receives it

    @app.exception_handler(Exception)
    async def unexpected(_: Request, error: Exception) -> Response:
        # Starlette answers these outside the guard, which adds the headers to all other answers.
        line = without_paths(str(error), settings.folder)
        return _error(500, one_line(f"unexpected {type(error).__name__}: {line} (this is a bug)"), HEADERS)


def _error(status: int, line: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": line}, status, headers)
