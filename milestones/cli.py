"""The `firstlight` command. Each subcommand is thin: it parses, calls a milestone, prints."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from milestones.course import commands, teacher
from milestones.diagrams.command import diagrams
from milestones.endings import end
from milestones.errors import UserError
from milestones.options import ACTIVATION_TYPE, CACHE_TYPE, DTYPES, MODEL, QUIET, SPECIAL, model_path, sampling, settings_of
from milestones.speed import commands as speed
from milestones.terminal import Progress, check_interrupt, errors_are_seen, read_stdin, read_text, tables, write


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="firstlight", prog_name="firstlight")
def cli() -> None:
    """A language model, every tensor operation a Metal kernel of ours."""


@cli.command(short_help="Continue a prompt.")
@click.argument("prompt")
@click.option("--max-tokens", type=click.IntRange(min=1), default=64, show_default=True, help="At most so many new tokens.")
@click.option("--stop", multiple=True, help="End before this text appears; may be given several times.")
@sampling(temperature=0.0)
@click.option("--no-cache", "cached", flag_value=False, default=True, help="Recompute every key and value at every step.")
@CACHE_TYPE
@ACTIVATION_TYPE
@click.option("--naive", is_flag=True, help="Run on the plain kernels of m2 and m4 and on floats, not on m6's.")
@click.option("--json", "as_json", is_flag=True, help="A line of JSON for each token, then one with the figures.")
@click.option("--workbook", is_flag=True, help="Run on your own kernels, wherever their spec has passed.")
@QUIET
@SPECIAL
@MODEL
def generate(
    prompt: str, max_tokens: int, stop: tuple[str, ...], cached: bool, cache_type: str, activation_type: str, naive: bool,
    as_json: bool, workbook: bool, quiet: bool, special: bool, model: Path | None, **sampling: Any,
) -> None:  # fmt: skip
    """Continue PROMPT; `-` reads it from standard input (less one newline at its end).

    The completion alone goes to standard output, as it is made.
    """
    if workbook:
        from metal.timed import TimedGpu
        from milestones.course import reward

        mine, left_out = reward.take()  # before the engine is imported
    from milestones.m7.engine import Engine

    settings = settings_of(**sampling)
    if "" in stop:
        raise UserError("--stop needs at least one character")
    prompt = read_stdin().removesuffix("\n") if prompt == "-" else prompt
    if not prompt:
        raise UserError("the prompt is empty: give at least one character")
    path = model_path(model, quiet)  # before our own progress bar: fetching has one
    with Progress(quiet) as progress:
        gpu = TimedGpu.telling(progress) if workbook else None
        plain = naive or not cached or (workbook and not reward.fast(mine))  # uncached, m2's take a whole prompt at once
        if plain and activation_type != "f32":
            why = "--naive" if naive else "--workbook without a proved kernel of m6" if cached else "--no-cache"
            raise UserError(
                f"--activation-type f16 is the fast kernels' alone, {why} runs the plain ones: leave out one of them"
            )
        kernels, read = "naive" if plain else "fast", DTYPES[activation_type]
        engine = Engine(path, gpu=gpu, progress=progress, kernels=kernels, activations=read)
        options: dict[str, Any] = {"stop": stop, "settings": settings, "cached": cached, "special": special}
        options["cache_dtype"] = DTYPES[cache_type]
        for token in engine.generate(prompt, max_tokens=max_tokens, **options):
            check_interrupt()
            progress.close()
            write(json.dumps(asdict(token)) + "\n" if as_json else token.text)
    if as_json:
        figures: dict[str, Any] = {"figures": asdict(engine.figures), "settings": asdict(settings)}
        write(json.dumps(figures | ({"workbook": reward.shares(gpu.seconds, mine)} if gpu else {})) + "\n")
        return
    write("\n")
    if not quiet and errors_are_seen():
        seed = f"; seed {settings.seed}" if settings.temperature else ""
        click.echo(engine.figures.line() + seed, err=True)
    if gpu and not quiet:
        click.echo(reward.line(gpu.seconds, mine, left_out, engine.kernels), err=True)


@cli.command(short_help="A text's tokens (m0).")
@click.argument("text")
@click.option("--ids", "ids_only", is_flag=True, help="Print the ids alone, on one line.")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="One line of JSON: ids, pieces, their bytes in hexadecimal, …",
)
@SPECIAL
@MODEL
def tokenize(text: str, ids_only: bool, as_json: bool, special: bool, model: Path | None) -> None:
    """The tokens of TEXT (m0); `-` reads it from standard input, to the byte.

    At a terminal the text in colours that change from token to token, with the ids below; elsewhere a line for each token.
    """
    from metal.tensor import Gpu
    from milestones.m0.show import as_json_line, coloured, table
    from milestones.m1.model_file import open_model
    from milestones.m6.tokenizer import FastTokenizer

    if ids_only and as_json:
        raise UserError("--ids and --json exclude each other: give one of them")
    text = read_stdin() if text == "-" else text
    tokenizer = FastTokenizer(Gpu(), open_model(model_path(model)).vocabulary())
    ids = tokenizer.encode(text, special=special)
    if ids_only:
        write(" ".join(map(str, ids)) + "\n")
    elif as_json:
        write(as_json_line(tokenizer, text, ids))
    else:
        with tables() as console:
            seen = console.is_terminal and coloured(tokenizer, ids, console)
        if not seen:
            write(table(tokenizer, ids))
    if not (ids_only or as_json):
        size = len(text.encode("utf-8", "surrogateescape"))
        counts = ((len(text), "character"), (size, "byte"), (len(ids), "token"))
        click.echo(", ".join(_count(*pair) for pair in counts), err=True)


@cli.command(short_help="What a model holds (m1).")
@click.argument("model", type=click.Path(path_type=Path), required=False)
def inspect(model: Path | None) -> None:
    """What a model file holds: architecture, tensors, tokenizer (m1). Default: the model that `fetch` gets."""
    from milestones.m1.inspect import show
    from milestones.m5.weights import LOADED

    with tables() as console:
        show(model_path(model), console, LOADED)


@cli.command(short_help="Make a model smaller (m5).")
@click.argument("source", metavar="IN", type=click.Path(path_type=Path))
@click.argument("target", metavar="OUT", type=click.Path(path_type=Path))
@click.option(
    "--type", "kind", type=click.Choice(["q8_0", "q5_1", "q5_0", "q4_1", "q4_0"]), required=True, help="Of the matrices."
)
@click.option("--tensor", "own", multiple=True, metavar="NAME=TYPE", help="Another type for some: 'blk.*.ffn_*=q8_0'.")
@click.option("--force", is_flag=True, help="Replace OUT if it is there.")
@QUIET
def quantize(source: Path, target: Path, kind: str, own: tuple[str, ...], force: bool, quiet: bool) -> None:
    """Write the model in IN, a GGUF file or a Hugging Face folder, to OUT, a GGUF file with packed weights (m5)."""
    from milestones.m5.quantize_file import pairs, quantize_file

    special = pairs(own)
    with Progress(quiet) as progress:
        done = quantize_file(source, target, kind.upper(), own=special, force=force, progress=progress)
    if quiet:
        return
    if done.twice:
        note = f"{_count(done.twice, 'tensor')} had been quantized before: the errors of both times add up"
        click.echo(f"note: {note}", err=True)
    kinds = ", ".join(f"{number} {name}" for name, number in done.tensors.items())
    tensors = f"{_count(sum(done.tensors.values()), 'tensor')} ({kinds})"
    write(f"{target}: {tensors}, {done.nbytes:,} bytes, {done.bits:.2f} bits a weight\n")


@cli.command(short_help="How well a model predicts a text (m5).")
@click.argument("model", metavar="[FILE]", type=click.Path(path_type=Path), required=False)
@click.option("--against", type=click.Path(path_type=Path), help="A model to compare with: KL divergence, agreement.")
@click.option("--text", "source", type=click.Path(path_type=Path), help="A text of your own; `-` is standard input.")
@click.option("--window", type=click.IntRange(min=2), default=256, show_default=True, help="Tokens that are seen at once.")
@click.option("--json", "as_json", is_flag=True, help="The figures as a line of JSON.")
@QUIET
def perplexity(model: Path | None, against: Path | None, source: Path | None, window: int, as_json: bool, quiet: bool) -> None:
    """The perplexity of a model on a text, by default the prose of this repository (m5). FILE: default what `fetch` gets."""
    from milestones.m5.perplexity import lines, measure, prose

    text = prose() if source is None else read_stdin() if str(source) == "-" else read_text(source)
    path = model_path(model, quiet)
    with Progress(quiet) as progress:
        cost = measure(path, text, against=against, window=window, progress=progress)
    write(json.dumps(asdict(cost)) + "\n" if as_json else lines(cost))


@cli.command(short_help="The likeliest next tokens (m2).")
@click.argument("prompt")
@click.option("--top", type=click.IntRange(min=1), default=5, show_default=True, help="How many of the likeliest tokens.")
@click.option("--checkpoints", type=click.Path(path_type=Path), help="Write every layer's output to this .npz file, for study.")
@SPECIAL
@MODEL
def logits(prompt: str, top: int, checkpoints: Path | None, special: bool, model: Path | None) -> None:
    """The likeliest next tokens after PROMPT (`-`: standard input): id, text, logit, probability (m2)."""
    from milestones.m7.study import next_tokens, save_checkpoints

    if checkpoints is not None and checkpoints.suffix != ".npz":
        raise UserError(f"--checkpoints writes an .npz file, {str(checkpoints)!r} is named otherwise")
    engine, ids = _prepare(prompt, special, model, kernels="naive")  # which show what they do
    if checkpoints is not None:
        save_checkpoints(engine, ids, checkpoints)
    write(next_tokens(engine, ids, top))


@cli.command(short_help="What each sampling setting does (m3).")
@click.argument("prompt")
@click.option("--top", type=click.IntRange(min=1), default=12, show_default=True, help="How many of the likeliest tokens.")
@sampling(temperature=1.0, draws=False)
@SPECIAL
@MODEL
def sample(prompt: str, top: int, special: bool, model: Path | None, **sampling: Any) -> None:
    """The distribution of the token after PROMPT before and after each setting, and which setting cuts what (m3)."""
    from milestones.m7.study import show_stages

    settings = settings_of(**sampling)
    if settings.temperature == 0:
        raise UserError("at temperature 0 nothing is drawn: give --temperature above 0, or see `firstlight logits`")
    engine, ids = _prepare(prompt, special, model)
    with tables() as console:
        show_stages(engine, ids, settings, top, console)


@cli.command(short_help="Talk with the model (m7).")
@click.option("--system", help="What the model is told before the conversation. Default: what its template says.")
@click.option("--max-tokens", type=click.IntRange(min=1), default=1024, show_default=True, help="At most so many in an answer.")
@sampling(temperature=0.2)
@CACHE_TYPE
@ACTIVATION_TYPE
@QUIET
@MODEL
def chat(
    system: str | None, max_tokens: int, cache_type: str, activation_type: str, quiet: bool, model: Path | None, **sampling: Any
) -> None:
    """Talk with the model, turn by turn (m7). /reset, /save FILE, /quit; Ctrl-C ends an answer."""
    from milestones.m7.chat import Chat
    from milestones.m7.engine import Engine
    from milestones.m7.terminal_chat import talk

    settings = settings_of(**sampling)
    path = model_path(model, quiet)
    with Progress(quiet) as progress:
        engine = Engine(path, progress=progress, activations=DTYPES[activation_type])
        conversation = Chat(engine, settings=settings, system=system, cache_dtype=DTYPES[cache_type])
    talk(conversation, max_tokens, quiet)


@cli.command(short_help="What is here, what is missing.")
def doctor() -> None:
    """What is here and what is not: device, runtime, versions, cache, memory, checks that would be "not run here".

    Exit status 2 if something that `generate` needs is missing and cannot be fetched.
    """
    from milestones.doctor import report

    lines, well = report()
    write("\n".join(lines) + "\n")
    if not well:
        raise UserError("something that is needed is missing: see above")


@cli.command(short_help="Check Metal files.")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--std", type=click.Choice(["2.3", "2.4", "3.0", "3.1"]), default="2.3", show_default=True, help="Metal's version."
)
@click.option("-I", "folders", multiple=True, type=click.Path(path_type=Path), help="Look here for #include, too.")
@click.option("--json", "as_json", is_flag=True, help="A line of JSON for each finding.")
@click.option("--run", is_flag=True, help="Run the kernel too, as comments in its file say, in checked mode.")
@click.option("--checks", metavar="NAMES", help="What --run looks for: default, all, or names of checks.")
def check(files: tuple[Path, ...], std: str, folders: tuple[Path, ...], as_json: bool, run: bool, checks: str | None) -> None:
    """Read every kernel of each Metal file and say what is wrong with it, one finding a line: file:line:column: message.

    Nothing is run unless --run is given: see metal/README.md for the comments that say how. Exit status 1 if there is a
    finding. The reader is the portable Metal device's, not Apple's compiler.
    """
    from metal.check import check_file
    from metal.source import SOLUTION
    from metal.trial import run_file

    if checks is not None and not run:
        raise UserError("--checks is for --run: give both")
    wrong = kernels = 0
    for path in files:
        try:
            shipped = SOLUTION / path.absolute().parent.name  # a workbook's headers are those of its milestone
            findings, found = check_file(path, std=std, folders=[*folders, shipped])
            for finding in run_file(path, checks) if run and not findings else ():
                write(f"{json.dumps(finding.json()) if as_json else finding}\n")
                wrong += 1
        except ValueError as problem:
            if not isinstance(problem, UnicodeDecodeError):
                raise UserError(str(problem)) from None
            raise UserError(f"{str(path)!r} is not UTF-8 text: byte {problem.start:,} is none: give a .metal file") from None
        except OSError as problem:
            raise UserError(f"{str(path)!r} cannot be read ({problem.strerror}): give a .metal file") from None
        for finding in findings:
            write(f"{json.dumps(asdict(finding)) if as_json else finding}\n")
        wrong, kernels = wrong + len(findings), kernels + found
    if not as_json:
        click.echo(f"{_count(len(files), 'file')}, {_count(kernels, 'kernel')}, {_count(wrong, 'finding')}", err=True)
    sys.exit(1 if wrong else 0)


for more in (*commands.COMMANDS, *teacher.COMMANDS, *speed.COMMANDS, diagrams):
    cli.add_command(more)


@cli.command(short_help="Get the default model.")
def fetch() -> None:
    """Get the default model (93 MB, once) into the cache and print where it is."""
    from milestones.m1.fetch import fetch as get

    write(f"{get()}\n")


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'s' if number != 1 else ''}"


def _prepare(prompt: str, special: bool, model: Path | None, kernels: str = "fast") -> tuple[Any, list[int]]:
    """The engine, and the ids of a prompt that fits it."""
    from milestones.m7.engine import Engine

    prompt = read_stdin().removesuffix("\n") if prompt == "-" else prompt
    path = model_path(model)
    with Progress(quiet=False) as progress:
        engine = Engine(path, progress=progress, kernels=kernels)
    ids = engine.encode(prompt, special=special)
    engine.check_length(ids)
    return engine, ids


def main() -> None:
    """Entry point of the `firstlight` command."""
    end(cli)
