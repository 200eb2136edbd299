"""The diagrams over HTTP: fixed files, JSON in and out, lines of JSON (NDJSON) where a loop runs. Nothing else is served."""

from __future__ import annotations

import asyncio
import json
import traceback
from collections.abc import AsyncIterator, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from metal import error as device_error
from milestones.diagrams import site
from milestones.diagrams.fields import checked
from milestones.diagrams.guard import Guard
from milestones.diagrams.registry import Endpoint, diagrams
from milestones.diagrams.worker import BusyError, Job, ReplacedError, Worker
from milestones.errors import UserError

LARGEST = 1 << 16  # bytes of a request
_DRAINED = 1 << 23  # so much of a larger one is read and thrown away, so that the page hears why
T = TypeVar("T")
REPLACED = "a newer request has taken this one's place"


@dataclass(frozen=True)
class _RefusedError(Exception):
    status: int
    words: str


def application(worker: Worker, guard: Guard) -> ASGIApp:
    """The whole server, for uvicorn or a test client. The worker must have been started."""

    async def answer(request: Request) -> Response:
        name, endpoint = request.path_params["name"], request.path_params["endpoint"]
        try:
            asked = next((d.endpoints[endpoint] for d in diagrams() if d.name == name and endpoint in d.endpoints), None)
            if asked is None:
                raise _RefusedError(404, f"there is no {name}/{endpoint}")
            if request.method != "POST":
                words = f"{name}/{endpoint} is asked by POST, not by {request.method}"
                return JSONResponse({"error": words}, 405, headers={"Allow": "POST"})
            given = await _body(request)
            page = request.headers.get("x-page", "")[:64]
            return await _run(worker, f"{page} {name}/{endpoint}", asked, given, request)
        except ClientDisconnect:
            return Response(status_code=499)
        except Exception as problem:
            status, words = reported(problem)
            return JSONResponse({"error": words}, status)

    async def file(request: Request) -> Response:
        found = site.found(request.url.path.removeprefix("/"))
        if found is None:
            return Response("There is no such page.\n", 404, media_type="text/plain")
        if found.model:  # while the page's scripts are still on their way
            worker.warm(found.model)
        return Response(found.data(), media_type=found.kind, headers={"Cache-Control": "no-cache"})

    routes = [
        Route("/api/{name}/{endpoint}", answer, methods=["POST", "GET", "HEAD"]),  # else a GET would be looked up as a file
        Route("/{path:path}", file, methods=["GET", "HEAD"]),
    ]
    return _Headers(guard.around(Starlette(routes=routes, exception_handlers={Exception: _unexpected})))


async def _unexpected(request: Request, problem: Exception) -> Response:
    status, words = reported(problem)
    return Response(f"{words}\n", status, media_type="text/plain")


def reported(problem: BaseException) -> tuple[int, str]:
    """What `told` says; the traceback of what nobody foresaw goes to the terminal."""
    status, words = told(problem)
    if status == 500:
        traceback.print_exception(problem)
    return status, words


def told(problem: BaseException) -> tuple[int, str]:
    """Status and one line for the page."""
    match problem:
        case _RefusedError():
            return problem.status, problem.words
        case ReplacedError():
            return 409, REPLACED
        case BusyError():
            return 503, "the engine is busy with other requests: try again in a moment"
        case UserError():
            return 400, str(problem)
        case MemoryError():
            return 503, "there is not enough memory for this"
        case device_error():
            return 500, f"the device failed: {str(problem).splitlines()[0] if str(problem) else 'no reason given'}"
    return 500, f"the engine failed ({type(problem).__name__}): see the terminal in which it runs"


async def _body(request: Request) -> Any:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise _RefusedError(415, "a request must be application/json")
    data, size = bytearray(), 0
    async for part in request.stream():
        size += len(part)
        if size <= LARGEST:
            data += part
        elif size > _DRAINED:
            break
    if size > LARGEST:
        raise _RefusedError(413, f"the request is larger than {LARGEST:,} bytes: shorten the text")
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise _RefusedError(400, "the request is no JSON") from None


async def _run(worker: Worker, key: str, endpoint: Endpoint, given: Any, asking: Request) -> Response:
    request = checked(endpoint.fields, given)
    loop, results = asyncio.get_running_loop(), asyncio.Queue[tuple[str, Any]]()

    def put(kind: str, value: Any) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(results.put_nowait, (kind, value))

    job = Job(key, lambda device: endpoint.answer(device, **request), put)
    worker.submit(job)
    try:
        kind, value = await _while_wanted(asking, results.get())
        if kind == "error":
            raise value  # `answer` says it
        if endpoint.streams:
            return StreamingResponse(_lines(worker, job, results, kind, value), media_type="application/x-ndjson")
        return Response(site.encoded(value), media_type="application/json")
    except (asyncio.CancelledError, ClientDisconnect):
        worker.cancel(job)
        raise


async def _while_wanted(asking: Request, answer: Coroutine[Any, Any, T]) -> T:
    """The answer. Raises ClientDisconnect if the page goes away before it is there."""
    coming, gone = (
        asyncio.ensure_future(answer),
        asyncio.ensure_future(asking.receive()),
    )  # after the body, only one thing comes
    try:
        await asyncio.wait((coming, gone), return_when=asyncio.FIRST_COMPLETED)
        if not coming.done():
            raise ClientDisconnect
        return coming.result()
    finally:
        coming.cancel()
        gone.cancel()


async def _lines(
    worker: Worker, job: Job, results: asyncio.Queue[tuple[str, Any]], kind: str, value: Any
) -> AsyncIterator[bytes]:
    try:
        while kind == "item":
            yield site.encoded(value) + b"\n"
            kind, value = await results.get()
        if kind == "error":
            raise value
    except Exception as problem:
        yield site.encoded({"error": reported(problem)[1]}) + b"\n"
    finally:
        worker.cancel(job)


class _Headers:
    """What every answer says: nothing comes from elsewhere, nobody frames the page, nothing guesses a type."""

    POLICY = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; object-src 'none'"

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message["headers"],
                    (b"content-security-policy", self.POLICY.encode()),
                    (b"x-content-type-options", b"nosniff"),
                    (b"referrer-policy", b"no-referrer"),
                    (b"cross-origin-resource-policy", b"same-origin"),
                ]
            await send(message)

        await self._app(scope, receive, sending)
