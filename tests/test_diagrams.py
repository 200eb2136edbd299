"""The diagrams' server, without a browser: who may ask, how much, for what; the ladder; the command's endings."""

from __future__ import annotations

import json
import signal
import socket
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from starlette.testclient import TestClient

from milestones.diagrams import registry, server, site, states
from milestones.diagrams.device import Device
from milestones.diagrams.fields import Flag, OneOf, Real, Text, Whole, Wholes, checked
from milestones.diagrams.guard import Guard
from milestones.diagrams.registry import Diagram, Endpoint
from milestones.diagrams.worker import Worker
from milestones.errors import UserError
from tests.browser.conftest import start
from tests.command import firstlight, refused

HOST = "127.0.0.1:8765"


def echo(device, text):
    if text == "fail":
        raise ZeroDivisionError
    if text == "refuse":
        raise UserError("that is refused")
    return {"text": text}


def count(device, number):
    for n in range(number):
        yield {"n": n}
    if number == 3:
        raise UserError("three is too many")
    if number == 4:
        raise ArithmeticError


TOY = Diagram(
    "toy", "m0", "Toy", "", (), (), (),
    {"echo": Endpoint({"text": Text(100)}, echo), "count": Endpoint({"number": Whole(0, 9)}, count, streams=True)},
)  # fmt: skip


@pytest.fixture
def client(monkeypatch):
    """The server with one more diagram, and no device under it."""
    real = registry.diagrams()
    monkeypatch.setattr(server, "diagrams", lambda: (*real, TOY))
    worker = Worker(lambda: SimpleNamespace())
    worker.start()
    with TestClient(server.application(worker, Guard("127.0.0.1", 8765)), base_url=f"http://{HOST}") as made:
        yield made


def ask(client, endpoint="echo", headers=None, **request):
    return client.post(f"/api/toy/{endpoint}", json=request, headers=headers)


STRANGE = ["evil.example:8765", "evil.example", "127.0.0.1", "127.0.0.1:80", "", "a@127.0.0.1:8765", "127.0.0.1:x"]
SITES = ["http://evil.example", "https://127.0.0.1:8765", "http://127.0.0.1:1", "null", f"http://{HOST}.evil.example"]


@pytest.mark.parametrize("host", STRANGE)
def test_a_request_to_another_name_or_port_is_refused(client, host):
    """DNS rebinding: a page of evil.example, whose name was made to point here, must get nothing."""
    for path in ("/", "/catalog.json", "/style.css"):
        answer = client.get(path, headers={"Host": host})
        assert answer.status_code == 403 and "Host" in answer.json()["error"]


@pytest.mark.parametrize("host", ["localhost:8765", "127.0.0.1:8765", "[::1]:8765", "127.0.0.2:8765"])
def test_every_name_of_this_machine_is_answered(client, host):
    assert client.get("/", headers={"Host": host}).status_code == 200


def test_a_server_on_another_address_answers_to_addresses_and_to_its_own_name():
    def ours(guard, host):
        return guard.problem({"host": host}) is None

    everywhere, named = Guard("0.0.0.0", 80), Guard("diagrams.local", 8000)
    assert ours(everywhere, "192.168.1.5") and ours(everywhere, "localhost") and not ours(everywhere, "evil.example")
    assert ours(named, "diagrams.local:8000") and not ours(named, "evil.example:8000")


@pytest.mark.parametrize("origin", SITES)
def test_a_page_of_another_site_gets_nothing(client, origin):
    answer = ask(client, headers={"Origin": origin}, text="a")
    assert answer.status_code == 403 and "another site" in answer.json()["error"]


def test_our_own_page_is_answered_and_no_form_of_another_can_ask(client):
    assert ask(client, headers={"Origin": f"http://{HOST}"}, text="a").json() == {"text": "a"}
    plain = client.post("/api/toy/echo", content=b'{"text": "a"}', headers={"Content-Type": "text/plain"})
    assert plain.status_code == 415


def test_every_answer_forbids_what_comes_from_elsewhere(client):
    for answer in (client.get("/"), client.get("/nothing"), ask(client, text="a"), client.get("/", headers={"Host": "evil"})):
        assert answer.headers["content-security-policy"].startswith("default-src 'self';")
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in answer.headers


PATHS = [
    "/../pyproject.toml", "/source/../pyproject.toml", "/%2e%2e/pyproject.toml", "/source/%2e%2e%2f%2e%2e/etc/passwd",
    "//etc/passwd", "/source//etc/passwd", "/source/milestones/cli.py", "/source/", "/server.py", "/..%5cpyproject.toml",
    "/style.css/", "/style.css%00",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_nothing_outside_the_table_is_served(client, path):
    answer = client.get(f"http://{HOST}{path}")
    assert answer.status_code == 404 and "firstlight" not in answer.text.lower()


def test_all_that_the_table_names_is_there_and_belongs_to_the_pages(client):
    assert {"index.html", "style.css", "shell.js", "controls.js", "catalog.json"} <= set(site.table())
    for path in site.table():
        answer = client.get(f"/{path}")
        assert answer.status_code == 200 and answer.content
        assert path.partition("/")[0] == "source" or "http://" not in answer.text.replace("http://www.w3.org/2000/svg", "")
    catalog = client.get("/catalog.json").json()
    assert [one["name"] for one in catalog["diagrams"]] == [one.name for one in registry.diagrams()]
    assert [rung["number"] for rung in catalog["ladder"]] == list(range(7, -1, -1))


@pytest.mark.parametrize(
    ("endpoint", "body", "status", "words"),
    [
        ("echo", b"no json", 400, "no JSON"),
        ("echo", b"\xff", 400, "no JSON"),
        ("echo", b"[" * 40_000, 400, "no JSON"),
        ("echo", b"[]", 400, "JSON object"),
        ("echo", b"{}", 400, "text missing"),
        ("echo", b'{"text": "a", "more": 1}', 400, "more unknown"),
        ("echo", b'{"text": "a", "\\ud800": 1}', 400, "\\ud800 unknown"),
        ("echo", b'{"text": 5}', 400, "must be a text"),
        ("echo", b'{"text": "\\ud800"}', 400, "lone surrogate at character 0"),
        ("echo", json.dumps({"text": "x" * 101}).encode(), 400, "101 bytes long, a diagram takes 100"),
        ("echo", json.dumps({"text": "x" * 1_000_000}).encode(), 413, "larger than 65,536 bytes"),
        ("echo", b'{"text": "refuse"}', 400, "that is refused"),
        ("echo", b'{"text": "fail"}', 500, "the engine failed (ZeroDivisionError)"),
        ("count", b'{"number": 1000000000}', 400, "whole number from 0 to 9"),
        ("count", b'{"number": NaN}', 400, "whole number"),
        ("count", b'{"number": 1e400}', 400, "whole number"),
        ("count", b'{"number": true}', 400, "whole number"),
        ("nothing", b"{}", 404, "no toy/nothing"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_a_request_that_does_not_fit_gets_one_clear_line(client, endpoint, body, status, words):
    answer = client.post(f"/api/toy/{endpoint}", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status
    assert words in answer.json()["error"] and "\n" not in answer.json()["error"]
    assert ask(client, text="still here").json() == {"text": "still here"}


def test_an_endpoint_is_asked_by_post_alone_and_says_so(client):
    for method in ("GET", "HEAD"):
        answer = client.request(method, "/api/toy/echo")
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert client.get("/api/toy/echo").json() == {"error": "toy/echo is asked by POST, not by GET"}
    assert client.put("/api/toy/echo").status_code == client.post("/style.css").status_code == 405
    assert client.get("/api/toy/nothing").status_code == client.get("/api").status_code == 404


def test_what_nobody_foresaw_prints_its_traceback_in_the_terminal_and_gives_the_page_one_line(client, capfd, monkeypatch):
    """The page can only say that it went wrong; who started the command must be able to say where."""
    assert ask(client, text="fail").status_code == 500
    said = capfd.readouterr().err
    assert said.startswith("Traceback") and "in echo" in said and said.endswith("ZeroDivisionError\n")
    lines = ask(client, "count", number=4).text.splitlines()
    assert "ArithmeticError" in json.loads(lines[-1])["error"] and len(lines) == 5
    assert "in count" in capfd.readouterr().err
    ask(client, text="refuse"), ask(client, text=5), ask(client, "count", number=3)
    assert capfd.readouterr().err == "", "what is refused is no failure"
    monkeypatch.setattr(site, "found", lambda path: 1 / 0)
    with pytest.raises(ZeroDivisionError):  # which the test client hands on, and uvicorn keeps to itself
        client.get("/style.css")
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_a_loop_streams_a_line_for_each_step_and_an_error_as_the_last(client):
    """Where a loop runs, the page need not wait for its end."""
    lines = [json.loads(line) for line in ask(client, "count", number=2).text.splitlines()]
    assert lines == [{"n": 0}, {"n": 1}]
    lines = [json.loads(line) for line in ask(client, "count", number=3).text.splitlines()]
    assert lines[-1] == {"error": "three is too many"} and len(lines) == 4
    assert ask(client, "count", number=0).status_code == 200


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        (Whole(0, 5), [0, 5, 3.0], [-1, 6, 2.5, "3", None, True, float("nan")]),
        (Real(0, 2), [0, 2, 0.5], [-0.1, 2.1, float("nan"), float("inf"), "1", None, False]),
        (Text(4), ["", "abcd", "é é"[:2]], ["abcde", "ééé", 5, None, "\udc80"]),
        (Flag(), [True, False], [0, 1, "true", None]),
        (OneOf(("a", "b")), ["a"], ["c", "", None, 1, ["a"]]),
        (Wholes(2, Whole(0, 9)), [[], [1, 9]], [[1, 2, 3], [10], "12", [None], {"0": 1}]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_field_takes_its_range_and_names_itself_outside_it(field, good, bad):
    for value in good:
        assert checked({"top_k": field}, {"top_k": value})["top_k"] == value
    for value in bad:
        with pytest.raises(UserError, match=r"^top-k "):
            checked({"top_k": field}, {"top_k": value})


def test_the_ladder_says_how_specs_ended_and_claims_nothing_without_a_run(monkeypatch, tmp_path):
    monkeypatch.setattr(states, "place", lambda: tmp_path / "specs.json")
    assert states.of("m3")["state"] == "not run here"
    one = {"passed": 4, "failed": 0, "not_run": 1, "device": "a device"}
    states.save({"milestones/m3/test_softmax.py": one})
    assert states.of("m3") == {
        "milestone": "m3",
        "state": "passed",
        "device": "a device",
        "passed": 4,
        "failed": 0,
        "not_run": 1,
    }
    states.save({"milestones/m3/test_sample.py": one | {"failed": 2}})
    assert states.of("m3")["state"] == "failed" and states.of("m2")["state"] == "not run here"
    with ThreadPoolExecutor(8) as pool:  # runs that end at once
        list(pool.map(lambda n: states.save({f"milestones/m4/test_{n}.py": one}), range(40)))
    assert states.of("m4")["passed"] == 4 * 40
    for damaged in ("", "[]", '{"a": 1}', '{"milestones/m3/test_a.py": {"passed": "1"}}'):
        (tmp_path / "specs.json").write_text(damaged)
        assert states.of("m3")["state"] == "not run here"


@pytest.mark.slow
def test_appended_tokens_outside_the_vocabulary_are_one_line(model_path):
    with pytest.raises(UserError, match="0 to 49,151"):
        Device(model_path).logits([504], [49152])


def test_a_port_that_is_taken_is_one_line():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused(firstlight("diagrams", "--no-browser", "--port", str(port)), f"127.0.0.1:{port}", "--port")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--port", "65536"], "65536"),
        (["--port", "many"], "many"),
        (["--host", "no.such.host.invalid"], "no.such.host.invalid"),
        (["--host", "203.0.113.9"], "203.0.113.9"),
        (["--model", "nowhere.gguf"], "nowhere.gguf"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_served_is_one_line(arguments, words):
    port = [] if "--port" in arguments else ["--port", "0"]
    refused(firstlight("diagrams", "--no-browser", *port, *arguments), words)


@pytest.mark.slow
def test_the_command_answers_soon_and_ends_cleanly_with_ctrl_c(model_path):
    """The first picture, a tokenized text, comes from the process that has just been started."""
    process, address = start()
    request = urllib.request.Request(
        f"{address}api/tokenizer/encode",
        json.dumps({"text": "hello world", "vocabulary": "model"}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert json.load(answer)["tokens"] == 2
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 0 and "Traceback" not in errors
