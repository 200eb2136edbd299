"""The `firstlight` command. Each subcommand is thin: it parses, calls a milestone, prints."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import click

from milestones.errors import UserError

MODEL = click.option("--model", type=click.Path(path_type=Path), help="A GGUF file. Default: the model that `fetch` gets.")
SPECIAL = click.option("--no-special", "special", flag_value=False, default=True, help="Read special tokens as plain text.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="firstlight", prog_name="firstlight")
def cli() -> None:
    """A language model, every tensor operation a Metal kernel of ours."""


@cli.command()
@click.argument("prompt")
@click.option("--max-tokens", type=click.IntRange(min=1), default=64, show_default=True, help="At most so many new tokens.")
@click.option("--stop", multiple=True, help="End before this text appears; may be given several times.")
@click.option("--no-cache", "cached", flag_value=False, default=True, help="Recompute every key and value at every step.")
@click.option("--quiet", is_flag=True, help="Nothing but the completion: no progress bars, no figures.")
@SPECIAL
@MODEL
def generate(
    prompt: str, max_tokens: int, stop: tuple[str, ...], cached: bool, quiet: bool, special: bool, model: Path
) -> None:
    """Continue PROMPT, greedily. The completion alone goes to standard output, as it is made."""
    from milestones.m7.engine import Engine

    if not prompt:
        raise UserError("the prompt is empty: give at least one character")
    if "" in stop:
        raise UserError("--stop needs at least one character")
    path = _model(model, quiet)  # before our own progress bar: fetching has one
    with _Progress(quiet) as progress:
        engine = Engine(path, progress=progress)
        tokens = engine.generate(prompt, max_tokens=max_tokens, stop=stop, cached=cached, special=special)
        for token in tokens:
            check_interrupt()
            progress.close()
            _write(token.text)
    _write("\n")
    if not quiet and sys.stderr.isatty():
        click.echo(engine.figures.line(), err=True)


@cli.command()
@click.argument("text")
@click.option("--ids", "ids_only", is_flag=True, help="Print the ids alone, on one line.")
@SPECIAL
@MODEL
def tokenize(text: str, ids_only: bool, special: bool, model: Path) -> None:
    """Show the tokens of TEXT: id and piece, one a line (m0)."""
    from metal.tensor import Gpu
    from milestones.m0.tokenizer import Tokenizer
    from milestones.m0.vocabulary import Vocabulary
    from milestones.m1.gguf_file import GgufFile

    vocabulary = Vocabulary.from_gguf(GgufFile(_model(model)).metadata)
    tokenizer = Tokenizer(Gpu(), vocabulary)
    ids = tokenizer.encode(text, special=special)
    if ids_only:
        _write(" ".join(map(str, ids)) + "\n")
        return
    for token in ids:
        _write(f"{token:>8}  {_piece(tokenizer.token_bytes(token))}\n")
    click.echo(f"{len(text)} characters, {len(text.encode())} bytes, {len(ids)} tokens", err=True)


@cli.command()
@click.argument("model", type=click.Path(path_type=Path), required=False)
def inspect(model: Path | None) -> None:
    """What a model file holds: architecture, tensors, tokenizer (m1). Default: the model that `fetch` gets."""
    from rich.console import Console

    from milestones.m1.inspect import show

    show(_model(model), Console())


@cli.command()
@click.argument("prompt")
@click.option("--top", type=click.IntRange(min=1), default=5, show_default=True, help="How many of the likeliest tokens.")
@SPECIAL
@MODEL
def logits(prompt: str, top: int, special: bool, model: Path) -> None:
    """The likeliest next tokens after PROMPT, with their logits (m2)."""
    import numpy as np

    from milestones.m7.engine import Engine

    path = _model(model)
    with _Progress(quiet=False) as progress:
        engine = Engine(path, progress=progress)
        ids = engine.encode(prompt, special=special)
        engine.check_length(ids)
        values = engine.model.forward(ids)
        engine.gpu.sync()
    row = values.numpy()[0]
    for token in np.argsort(-row, kind="stable")[:top]:
        _write(f"{token:>8}  {row[token]:>9.4f}  {_piece(engine.tokenizer.token_bytes(int(token)))}\n")


@cli.command()
def fetch() -> None:
    """Get the default model (93 MB, once) into the cache and print where it is."""
    from milestones.m1.fetch import fetch as get

    _write(f"{get()}\n")


def _model(given: Path | None, quiet: bool = False) -> Path:
    """The model file to use: the one given, or the default one, fetched on first use."""
    from milestones.m1.fetch import cached_model, fetch

    return given or cached_model() or fetch(progress=not quiet)


# --- output, and how things end ---------------------------------------------------------------------------------------
def _write(text: str) -> None:
    """Text to standard output as UTF-8, at once, whatever the terminal's own encoding."""
    if sys.stdout is None:
        raise UserError("standard output is closed: there is nowhere to write to")
    try:
        sys.stdout.buffer.write(text.encode("utf-8", "surrogatepass"))
        sys.stdout.buffer.flush()
    except BrokenPipeError:  # `firstlight generate … | head`: the reader has what it wanted
        _discard_output()
        sys.exit(0)
    except OSError as problem:
        _discard_output()
        raise UserError(f"the output cannot be written: {problem.strerror}") from None


def _discard_output() -> None:
    """So that nothing complains of unwritten output at exit once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _piece(data: bytes) -> str:
    """A token's bytes as a person can read them: quoted, bytes that are no character as \\xNN."""
    return repr(data.decode("utf-8")) if _is_utf8(data) else repr(data)


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


class _Progress:
    """Progress bars on a terminal's standard error, gone before the first token is written; elsewhere nothing."""

    def __init__(self, quiet: bool):
        self._bar: Any = None
        self._tasks: dict[str, Any] = {}
        self._shown = not quiet and sys.stderr.isatty()

    def __enter__(self) -> _Progress:
        if self._shown:
            from rich.console import Console
            from rich.progress import Progress

            self._bar = Progress(console=Console(stderr=True), transient=True)
            self._bar.start()
        return self

    def __call__(self, what: str, done: int, total: int) -> None:
        check_interrupt()
        if self._bar is None:
            return
        if what not in self._tasks:
            self._tasks[what] = self._bar.add_task(what, total=total)
        self._bar.update(self._tasks[what], completed=done, total=total)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def __exit__(self, *_: object) -> None:
        self.close()


_interrupted = False


def _on_interrupt(signum: int, frame: FrameType | None) -> None:
    """Ctrl-C. An exception raised inside a `__del__` (a run handle that waits) would be lost: then only the flag is set."""
    global _interrupted
    _interrupted = True
    if frame is None or frame.f_code.co_name != "__del__":
        raise KeyboardInterrupt


def check_interrupt() -> None:
    """Raise the KeyboardInterrupt that could not be raised when Ctrl-C was pressed. Called at every step."""
    if _interrupted:
        raise KeyboardInterrupt


def _guard(run: Callable[[], Any]) -> int:
    """Run a command; every ending a person can cause gets one line and a status, never a traceback."""
    from metal import error

    try:
        run()
        return 0
    except click.UsageError as problem:
        where = problem.ctx.command_path if problem.ctx else "firstlight"
        message = problem.format_message().rstrip(".").replace("\n", " ")
        return _complain(f"{message} (see {where} --help)")
    except click.ClickException as problem:
        return _complain(problem.format_message())
    except (UserError, error, UnicodeEncodeError) as problem:
        return _complain(str(problem))
    except (KeyboardInterrupt, click.Abort):
        click.echo("", err=True)
        return 130


def _complain(message: str) -> int:
    click.echo(f"firstlight: {message}", err=True)
    return 2


def main() -> None:
    """Entry point of the `firstlight` command."""
    signal.signal(signal.SIGINT, _on_interrupt)
    arguments = sys.argv[1:]

    def run() -> None:
        if not arguments:
            click.echo(cli.get_help(click.Context(cli, info_name="firstlight")))
        else:
            cli.main(args=arguments, prog_name="firstlight", standalone_mode=False)

    sys.exit(_guard(run))
