"""The diagrams' queue: one device, whose requests wait, are replaced by newer ones, and end when nobody waits for them."""

from __future__ import annotations

import asyncio
import queue
import threading
from types import SimpleNamespace

import pytest
from starlette.requests import ClientDisconnect
from starlette.testclient import TestClient

from milestones.diagrams import server
from milestones.diagrams.guard import Guard
from milestones.diagrams.registry import Endpoint
from milestones.diagrams.worker import WAITING, BusyError, Job, ReplacedError, Worker


class Held:
    """A worker that is busy with a job until it is let go."""

    def __init__(self):
        self.worker, self.go, self.began = Worker(lambda: SimpleNamespace()), threading.Event(), threading.Event()
        self.heard: queue.Queue = queue.Queue()
        self.worker.start()
        self.worker.submit(self.job("first", run=self._wait))
        assert self.began.wait(5)

    def _wait(self, device):
        self.began.set()
        assert self.go.wait(5)

    def job(self, key, run=lambda device: None, name=None):
        return Job(key, run, lambda kind, value: self.heard.put((name or key, kind, value)))

    def ends(self, number):
        """What comes, but answers, until so many jobs have ended."""
        found = []
        while len(found) < number:
            name, kind, value = self.heard.get(timeout=5)
            if kind != "item":
                found.append((name, kind, type(value).__name__))
        return found


def test_a_newer_request_takes_the_place_of_an_older_one_that_waits():
    """A slider asks at every move: only the last answer matters, and nobody waits for the others."""
    held = Held()
    held.worker.submit(held.job("slider", name="old"))
    held.worker.submit(held.job("other"))
    held.worker.submit(held.job("slider", name="new"))
    assert held.ends(1) == [("old", "error", "ReplacedError")]
    held.go.set()
    assert held.ends(3) == [("first", "end", "NoneType"), ("other", "end", "NoneType"), ("new", "end", "NoneType")]
    assert server.told(ReplacedError()) == (409, server.REPLACED)


def test_a_running_loop_stops_at_its_next_line_when_it_is_replaced():
    held, steps = Held(), []

    def loop(device):
        for n in range(10**6):
            steps.append(n)
            if n == 3:
                held.worker.submit(held.job("loop", name="newer"))
            yield n

    held.worker.submit(held.job("loop", run=loop, name="older"))
    held.go.set()
    assert held.ends(3)[1:] == [("older", "error", "ReplacedError"), ("newer", "end", "NoneType")]
    assert len(steps) == 4


def test_too_many_requests_are_told_that_the_engine_is_busy():
    held = Held()
    for n in range(WAITING):
        held.worker.submit(held.job(f"page {n}"))
    with pytest.raises(BusyError):
        held.worker.submit(held.job("one more"))
    assert server.told(BusyError())[0] == 503 and "busy" in server.told(BusyError())[1]
    held.go.set()
    assert len(held.ends(WAITING + 1)) == WAITING + 1


def test_a_job_that_nobody_waits_for_is_not_run():
    held, ran = Held(), []
    job = held.job("page", run=lambda device: ran.append(1))
    held.worker.submit(job)
    held.worker.cancel(job)
    held.worker.submit(held.job("last"))
    held.go.set()
    held.ends(2)
    assert not ran


def test_a_request_whose_page_has_gone_is_taken_from_the_queue():
    """Nobody waits for it: the pages that are open need not, either."""
    held = Held()

    class Gone:
        async def receive(self):
            return {"type": "http.disconnect"}

    endpoint = Endpoint({}, lambda device: held.heard.put(("gone", "ran", None)))
    with pytest.raises(ClientDisconnect):
        asyncio.run(server._run(held.worker, "page", endpoint, {}, Gone()))
    held.worker.submit(held.job("last"))
    held.go.set()
    assert held.ends(2) == [("first", "end", "NoneType"), ("last", "end", "NoneType")]


def test_the_device_goes_on_when_a_request_ends_before_its_job():
    """A server that stops closes its loop, and the last job's end has nobody to hear it."""
    held, closed = Held(), threading.Event()
    held.go.set()

    def answer(device):
        yield 1
        assert closed.wait(5)

    class Waiting:
        async def receive(self):
            await asyncio.sleep(60)

    assert asyncio.run(server._run(held.worker, "page", Endpoint({}, answer), {}, Waiting())).body == b"1"
    closed.set()
    held.worker.submit(held.job("last"))
    assert held.ends(2)[1] == ("last", "end", "NoneType")


def test_a_pages_model_is_made_as_soon_as_the_page_is_asked_for():
    """Before its first request, and not for a page that needs none: a model takes memory."""
    made: queue.Queue = queue.Queue()

    class Making:
        naive = property(lambda self: made.put("naive"))
        engine = property(lambda self: made.put("engine") or 1 / 0)

    worker = Worker(Making)
    worker.start()
    with TestClient(server.application(worker, Guard("127.0.0.1", 8765)), base_url="http://127.0.0.1:8765") as client:
        for path in ("/", "/tokenizer.html", "/attention.js", "/sampling.html", "/attention.html"):
            assert client.get(path).status_code == 200
    assert [made.get(timeout=5), made.get(timeout=5)] == ["engine", "naive"], (
        "what fails stops nothing, and is told at the request"
    )
    assert made.empty()
