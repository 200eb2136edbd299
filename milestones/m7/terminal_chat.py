"""`firstlight chat` at a terminal: lines in, answers out as they are made. Line editing and history by prompt_toolkit."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from metal.paths import cache_dir
from milestones.errors import UserError
from milestones.m7.chat import Chat
from milestones.terminal import check_interrupt, errors_are_seen, forget_interrupt, write

if TYPE_CHECKING:
    from prompt_toolkit.history import History

HELP = "/reset forgets the conversation, /save FILE writes it down as JSON,\n/quit (or Ctrl-D) ends; Ctrl-C ends an answer"


def talk(chat: Chat, max_tokens: int, quiet: bool) -> None:
    """Read messages until there are no more. Answers go to standard output, all else to standard error."""
    terminal = sys.stdin is not None and sys.stdin.isatty()
    _say(f"{chat.engine.path.name}: type a message and press Enter.\n{HELP}", terminal and not quiet)
    for line in _typed() if terminal else _piped():
        try:
            if not line.strip():
                continue
            if line.startswith("/"):
                if not _command(chat, line, terminal and not quiet):
                    return
                continue
            _answer(chat, line, max_tokens)
            _say(chat.engine.figures.line(), terminal and not quiet and errors_are_seen())
        except KeyboardInterrupt:
            forget_interrupt()
            write("\n")
            _say("(stopped: what you see counts as said)", terminal and not quiet)
        except UserError as problem:
            if not terminal:
                raise
            _say(str(problem), True)


def _answer(chat: Chat, text: str, max_tokens: int) -> None:
    with _no_echo():
        for token in chat.reply(text, max_tokens=max_tokens):
            write(token.text)  # first: what counts as said is what was shown
            check_interrupt()
    write("\n")


@contextmanager
def _no_echo() -> Iterator[None]:
    """What is typed while an answer is written must not stand in the middle of it."""
    if sys.stdin is None or not sys.stdin.isatty():
        yield
        return
    import termios

    before = termios.tcgetattr(sys.stdin)
    quiet = [*before[:3], before[3] & ~termios.ECHO, *before[4:]]
    try:
        termios.tcsetattr(sys.stdin, termios.TCSANOW, quiet)
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSANOW, before)


def _command(chat: Chat, line: str, told: bool) -> bool:
    """Carry out a line that begins with a slash, and say so if `told`; False to end."""
    name, _, rest = line.strip().partition(" ")
    if name == "/quit":
        return False
    if name == "/reset":
        chat.reset()
        _say("forgotten", told)
    elif name == "/save":
        if not rest.strip():
            raise UserError("/save needs a file's name: /save FILE")
        path = Path(rest.strip()).expanduser()
        chat.save(path)
        _say(f"{len(chat.messages)} messages saved to {path}", told)
    elif name == "/help":
        _say(HELP, True)
    else:
        raise UserError(f"there is no command {name}: /help names them")
    return True


def _typed() -> Iterator[str]:
    """Lines typed at a terminal, with editing and a history that is kept between runs. Ctrl-C drops the line being typed."""
    from prompt_toolkit import PromptSession

    session: PromptSession[str] = PromptSession(history=_history())
    while True:
        try:
            yield session.prompt("> ")
        except KeyboardInterrupt:
            continue
        except EOFError:
            return


def _history() -> History:
    """The history's file in the cache folder, readable by its owner alone; kept in memory where there can be no such file."""
    from prompt_toolkit.history import FileHistory, InMemoryHistory

    path = cache_dir() / "chat_history"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        with open(path, "ab"):
            return FileHistory(str(path))
    except OSError:
        return InMemoryHistory()


def _piped() -> Iterator[str]:
    """Lines of a pipe or file, one message each. Raises UserError for one that is not UTF-8."""
    if sys.stdin is None:
        raise UserError("standard input is closed: there is nothing to read")
    lines = enumerate(sys.stdin.buffer, 1)
    while True:
        try:
            number, line = next(lines)
        except StopIteration:
            return
        except OSError as problem:
            raise UserError(f"standard input cannot be read: {problem.strerror}") from None
        try:
            yield line.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError as problem:
            raise UserError(
                f"line {number} of standard input is not UTF-8 text: byte 0x{line[problem.start]:02X} at offset {problem.start}"
            ) from None


def _say(text: str, shown: bool) -> None:
    if shown:
        click.echo(text, err=True)
