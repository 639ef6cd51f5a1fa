"""The HTTP app: the page, Pyodide, the wheels and their index, and how the node is."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from agents_server.assets import REVALIDATE
from agents_server.headers import SecurityHeaders, policy
from agents_server.site import Site

NO_STORE = {"Cache-Control": "no-store"}


def application(site: Site, nats: str, missing: Callable[[], list[str]]) -> ASGIApp:
    """The ASGI app.

    Args:
        site: what it serves.
        nats: where pages connect to; `local://` for nowhere.
        missing: says what the node still lacks to be ready; nothing when it is.
    """
    rules = policy(nats, site.settings["pyodide"])

    async def config(_: Request) -> Response:
        body = {**site.settings, "nats": nats, "files": site.tags(rules)}
        return JSONResponse(body, headers=NO_STORE)

    async def healthz(_: Request) -> Response:
        return JSONResponse({"status": "ok"}, headers=NO_STORE)

    async def readyz(_: Request) -> Response:
        lacks = missing()
        body = {"status": "waiting" if lacks else "ok", "missing": lacks}
        return JSONResponse(body, 503 if lacks else 200, headers=NO_STORE)

    async def simple(request: Request) -> Response:
        text, kind = site.index.root(request.headers.get("accept", ""))
        return Response(text, media_type=kind, headers={"Cache-Control": REVALIDATE})

    async def project(request: Request) -> Response:
        accept, base = request.headers.get("accept", ""), str(request.base_url).rstrip("/")
        found = site.index.project(request.path_params["name"], accept, base)
        if found is None:
            return PlainTextResponse("no such project", 404)
        return Response(found[0], media_type=found[1], headers={"Cache-Control": REVALIDATE})

    async def file(request: Request) -> Response:
        path = request.scope["path"]  # that of `request.url` ends at what was an escaped # or ?
        if asset := site.find(path, rules):
            return asset.response(request)
        if f"{path}/" in site.paths():
            query = request.url.query
            return RedirectResponse(f"{quote(path)}/{'?' if query else ''}{query}")
        return PlainTextResponse("not found", 404)

    routes = [
        Route("/config.json", config),
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        Route("/simple/", simple),
        Route("/simple/{name}/", project),
        Route("/simple//{name}/", project),  # micropip adds a slash to the one that users write
        Route("/{path:path}", file),
    ]
    return SecurityHeaders(Starlette(routes=routes), rules)
