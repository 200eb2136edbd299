"""The spec of a template's process: whatever a hostile template does ends in one line, soon, and nothing else happens."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from contextlib import suppress

import psutil
import pytest

from milestones.errors import UserError
from milestones.m7 import template_process
from milestones.m7.template_process import TemplateProcess


def refusal(source):
    """What a person reads when that template is used: one line that a terminal only shows."""
    with pytest.raises(UserError) as caught:
        TemplateProcess(source).render(messages=[{"role": "user", "content": "x"}])
    assert str(caught.value).isprintable()
    return str(caught.value)


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.append(1) }}",
        "{{ self.__init__.__globals__ }}",
        "{{ cycler.__init__.__globals__.os.system('true') }}",
        "{{ range(10**9) }}",
        "{{ 'a' * 20000000 }}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{{ raise_exception('roles must alternate') }}",
        "{{ raise_exception('\x1b]0;pwned\x07\n' * 999999) }}",
        "{{ raise_exception('\\x1b]0;pwned\\x07') }}",
        "{{ 1 / 0 }}",
        "{{ nothing.at.all }}",
        "{% include '/etc/passwd' %}",
    ],
    ids=lambda s: ascii(s[:40]),
)
def test_a_hostile_or_failing_template_is_one_line_and_does_nothing(source):
    assert refusal(source).startswith("the model's chat template refuses this conversation or fails (")


@pytest.mark.parametrize(
    "source",
    [
        "{{ 'a' * 10**10 }}",
        "{{ [0] * 1000000000 }}",
        "{{ 9 ** 999999999 }}",
        "{{ '%01000000000d' % 1 }}",
        "{{ '%0*d' % (1000000000, 1) }}",
        "{{ '{:01000000000d}'.format(1) }}",
        "{{ 'a' | center(1000000000) }}",
        "{{ 'a'.ljust(1000000000) }}",
        "{{ '1'.zfill(1000000000) }}",
        "{{ '\t'.expandtabs(1000000000) }}",
        "{{ 'a' | indent(1000000000, true) }}",
        "{{ [1] | tojson(indent=1000000000) }}",
        "{{ [1] | batch(1000000000, 0) | list }}",
        "{{ ('a' * 100000) | replace('a', 'b' * 100000) }}",
        "{{ range(99999) | join('x' * 100000) }}",
        "{{ strftime_now('a' * 100000000) }}",
        "{% set x = 'a' * 100000 %}{% for i in range(99999) %}{{ x }}{% endfor %}",
        "{% set n = namespace(s='a') %}{% for i in range(34) %}{% set n.s = n.s ~ n.s %}{% endfor %}",
        "{% set n = namespace(s=[]) %}{% for i in range(34) %}{% set n.s = [n.s, n.s] %}{% endfor %}{{ n.s }}",
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(99) }}",
    ],
    ids=lambda s: ascii(s[:40]),
)
def test_a_template_without_measure_is_ended_in_one_line(monkeypatch, source):
    monkeypatch.setattr(template_process, "SECONDS", 0.5)
    assert "takes too long or too much memory" in refusal(source)


@pytest.mark.parametrize(
    "source",
    [
        "{% if %}",
        "{{ x",
        "{% endfor %}",
        "{% break %}",
        "{% continue %}",
        "{% for a in b %}" * 25 + "{% endfor %}" * 25,
        "{% if 1 %}" * 120 + "{% endif %}" * 120,
        "{{ " + "1" * 5000 + " }}",
        "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
        "{{ f(a=1, a=2) }}",
        "{{ f(__debug__=1) }}",
        "{% macro f(a, a) %}{% endmacro %}",
        "{{ x | \x1b }}",
    ],
    ids=lambda s: ascii(s[:40]),
)
def test_a_template_that_cannot_be_read_is_one_line(source):
    assert refusal(source).startswith("the model's chat template cannot be read (")


def test_memory_is_watched_where_the_system_does_not_limit_it(monkeypatch):
    monkeypatch.setattr(template_process, "ADDRESSES", resource.RLIM_INFINITY)
    greedy = TemplateProcess("{{ 'a' | center(n) }}")
    with pytest.raises(UserError, match="too much memory"):
        greedy.render(n=1 << 31)
    assert greedy.render(n=3) == " a ", "a conversation that asks for less has its turn"


def test_an_interrupted_answer_is_not_the_next_ones(monkeypatch):
    echo, exchange = TemplateProcess("{{ x }}"), template_process._exchange

    def interrupted(worker, request):
        worker.stdin.write(request)
        raise KeyboardInterrupt

    monkeypatch.setattr(template_process, "_exchange", interrupted)
    with pytest.raises(KeyboardInterrupt):
        echo.render(x=1)
    monkeypatch.setattr(template_process, "_exchange", exchange)
    assert echo.render(x=2) == "2"


def test_characters_arrive_as_they_are():
    """Also lone surrogates: they stand for bytes that are not UTF-8, and two of them are not one character."""
    text = "é🙂\udcff\ud83d\ude00\x00\u2028\n"
    assert TemplateProcess("{{ x }}{{ '\\udcff' }}").render(x=text) == text + "\udcff"


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda s: s.name)
def test_a_worker_ends_with_its_parent_and_not_before(end):
    code = "from milestones.m7.template_process import TemplateProcess as T; t = T('{{ x }}'); print(t._worker.pid, flush=True)"
    pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
    with subprocess.Popen([sys.executable, "-c", code + "; input()"], stdin=pipe, stdout=pipe, stderr=nowhere) as parent:
        worker = int(parent.stdout.readline())
        assert os.getsid(worker) != os.getsid(parent.pid), "the terminal's Ctrl-C must not reach it"
        parent.send_signal(end)
    deadline = time.monotonic() + 10
    with suppress(psutil.NoSuchProcess):
        while psutil.Process(worker).status() != psutil.STATUS_ZOMBIE:  # whose parent, the system's first process, is slow
            assert time.monotonic() < deadline
            time.sleep(0.01)
