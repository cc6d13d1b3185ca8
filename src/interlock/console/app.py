"""The web application: addresses, errors as pages, and one form."""

from __future__ import annotations

import logging
from collections.abc import Callable
from importlib.resources import files
from urllib.parse import parse_qs, urlsplit

import sqlalchemy as sa
from google.api_core.exceptions import GoogleAPIError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Match, Route

from interlock.console import endpoint_pages, model_pages, overview_pages, rollout_pages, run_pages
from interlock.console.guard import FOREIGN_POLICY, Guard, own_hosts, refused_write
from interlock.console.live import events
from interlock.console.page import Page, Part, document, heading, link
from interlock.console.reading import Source
from interlock.errors import ConcurrentChange, EnvironmentProblem, InputError, InterlockError
from interlock.report.markup import element

LONGEST_BODY = 10_000
log = logging.getLogger(__name__)

# Everything a page can run into: nothing here is a defect of the console.
_PROBLEMS = (InterlockError, GoogleAPIError, sa.exc.SQLAlchemyError, OSError)
_PAGES: dict[str, Callable[..., Page]] = {
    "/": overview_pages.overview,
    "/models": model_pages.models_page,
    "/models/{name}": model_pages.model_page,
    "/models/{name}/{version}": model_pages.version_page,
    "/endpoints": endpoint_pages.endpoints_page,
    "/endpoints/{name}": endpoint_pages.endpoint_page,
    "/rollouts": overview_pages.rollouts_page,
    "/rollouts/{id}": rollout_pages.rollout_page,
    "/rollouts/{id}/rollback": rollout_pages.confirm_page,
    "/runs": run_pages.runs_page,
    "/runs/{id}": run_pages.run_page,
    "/runs/{id}/{task}/log": run_pages.log_page,
    "/schedules": overview_pages.schedules_page,
    "/history": overview_pages.history_page,
}


def build_app(source: Source, port: int) -> Starlette:
    """The application for a console that listens on ``port`` of the loopback interface."""
    hosts = own_hosts(port)
    console = Console(source, hosts)
    routes = [Route(path, console.page, methods=["GET"]) for path in _PAGES]
    routes += [
        Route("/rollouts/{id}/rollback", console.roll_back, methods=["POST"]),
        Route("/runs/{id}/{task}/artifacts/{name}", console.artifact, methods=["GET"]),
        Route("/models/{name}/{version}/report", console.report, methods=["GET"]),
        Route("/rollouts/{id}/report", console.report, methods=["GET"]),
        Route("/live", console.live, methods=["GET"]),
        Route("/health", _health, methods=["GET"]),
        Route("/static/style.css", _style, methods=["GET"]),
        Route("/static/console.js", _script, methods=["GET"]),
        Route("/{rest:path}", console.nowhere, methods=["GET"]),
    ]
    return Starlette(routes=routes, middleware=[Middleware(Guard, hosts=hosts)])


class Console:
    """Requests in, pages out. Pages are read in worker threads: the Google clients block."""

    def __init__(self, source: Source, hosts: set[str]) -> None:
        self._source = source
        self._hosts = hosts
        self._routes = [Route(path, self.page) for path in _PAGES]

    async def page(self, request: Request) -> Response:
        """Any page."""
        path = request.scope["path"]
        return self._shown(await run_in_threadpool(self.read, path), path)

    async def nowhere(self, request: Request) -> Response:
        """An address that is none."""
        return self._shown(_problem(InputError(f"there is no page {request.scope['path']}")), request.scope["path"])

    async def live(self, request: Request) -> Response:
        """Changes of the page in ``?page=``."""
        path = urlsplit(request.query_params.get("page", "/")).path

        async def look() -> Page:
            return await run_in_threadpool(self.read, path)

        stream = events(look, request.is_disconnected, self._source.every_seconds)
        return StreamingResponse(stream, media_type="text/event-stream", headers={"x-accel-buffering": "no"})

    async def artifact(self, request: Request) -> Response:
        """An HTML artifact, for a frame without rights."""
        given = request.path_params
        return await self._foreign(request, run_pages.html_artifact, given["id"], given["task"], given["name"])

    async def report(self, request: Request) -> Response:
        """The report of a version or of a rollout: one file that needs no other."""
        given = request.path_params
        if "id" in given:
            return await self._foreign(request, rollout_pages.report_file, given["id"])
        return await self._foreign(request, model_pages.report_file, given["name"], given["version"])

    async def _foreign(self, request: Request, read: Callable[..., bytes | str], *given: str) -> Response:
        """A document with a style of its own, and no rights."""
        try:
            body = await run_in_threadpool(read, self._source, *given)
        except _PROBLEMS as error:
            return self._shown(_problem(error), request.scope["path"])
        return HTMLResponse(body, headers={"content-security-policy": FOREIGN_POLICY})

    async def roll_back(self, request: Request) -> Response:
        """The one change this console makes."""
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > LONGEST_BODY:
                return PlainTextResponse("the form is too long", 413)
        form = {name: values[-1] for name, values in parse_qs(body.decode(errors="replace")).items()}
        reason = refused_write(request.headers, self._hosts, form.get("token", ""), self._source.token)
        if reason:
            return PlainTextResponse(f"refused: {reason}", 403)
        id_ = request.path_params["id"]
        try:
            await run_in_threadpool(rollout_pages.order_rollback, self._source, id_, form.get("reason", ""))
        except _PROBLEMS as error:
            return self._shown(_problem(error), request.scope["path"])
        return RedirectResponse(f"/rollouts/{id_}", 303)

    def read(self, path: str) -> Page:
        """The page at ``path``, or a page that says why there is none."""
        scope = {"type": "http", "method": "GET", "path": path, "root_path": ""}
        for route in self._routes:
            match, found = route.matches(scope)
            if match is Match.FULL:
                try:
                    return _PAGES[route.path](self._source, *found["path_params"].values())
                except _PROBLEMS as error:
                    return _problem(error)
        return _problem(InputError(f"there is no page {path}"))

    def _shown(self, page: Page, path: str) -> Response:
        return HTMLResponse(document(page, path, self._source.where), page.status)


def _problem(error: Exception) -> Page:
    """What is wrong and what to do, as a page that looks again by itself where that may help."""
    statuses = ((InputError, 404), (ConcurrentChange, 409), (EnvironmentProblem, 503))
    status = next((code for kind, code in statuses if isinstance(error, kind)), 502)
    if not isinstance(error, InterlockError):
        log.warning("a page could not be read: %s: %s", type(error).__name__, error)
    titles = {404: "Not there", 409: "Not any more", 503: "Nothing runs"}
    sentence = str(error) if isinstance(error, InterlockError) else f"{type(error).__name__}: {error}"
    body = element("p", sentence, class_="problem")
    parts = [
        Part("title", heading(titles.get(status, "Cannot be read"))),
        Part("problem", element("div", body, element("p", link("/", "Overview")))),
    ]
    return Page(title="Problem", parts=parts, announcement=sentence, live=False, status=status)


async def _health(_: Request) -> Response:
    return PlainTextResponse("ok")


async def _style(_: Request) -> Response:
    return Response(
        _asset("interlock.report", "style.css") + _asset("interlock.console", "console.css"), media_type="text/css"
    )


async def _script(_: Request) -> Response:
    return Response(_asset("interlock.console", "console.js"), media_type="text/javascript")


def _asset(package: str, name: str) -> bytes:
    return files(package).joinpath(name).read_bytes()
