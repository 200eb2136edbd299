"""The options that several commands take."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from milestones.m3.sampler import Settings

MODEL = click.option(
    "--model",
    type=click.Path(path_type=Path),
    help="A GGUF file or a Hugging Face folder. Default: what `fetch` gets.",
)
SPECIAL = click.option("--no-special", "special", flag_value=False, default=True, help="Read special tokens as plain text.")
CACHE_TYPE = click.option(
    "--cache-type", type=click.Choice(["f32", "f16"]), default="f32", show_default=True, help="How keys and values are kept."
)
ACTIVATION_TYPE = click.option(
    "--activation-type",
    type=click.Choice(["f32", "f16"]),
    default="f32",
    show_default=True,
    help="What a prompt's products read; f16 by the fast kernels alone, and slower on the portable device.",
)
DTYPES = {"f32": "float32", "f16": "float16"}
QUIET = click.option("--quiet", is_flag=True, help="No progress bars, no figures.")


def sampling(temperature: float, *, draws: bool = True) -> Callable[[Any], Any]:
    """The options of sampling; `temperature` is the command's default. A command that draws nothing takes no seed."""
    lowest = "0 is greedy." if draws else "Above 0."
    options = [
        click.option("--temperature", type=float, default=temperature, show_default=True, help=lowest),
        click.option("--top-k", type=int, default=0, show_default=True, help="Keep the K likeliest tokens; 0 keeps all."),
        click.option("--top-p", type=float, default=1.0, show_default=True, help="Keep the likeliest that reach P together."),
        click.option("--min-p", type=float, default=0.0, show_default=True, help="Keep those at least P times the likeliest."),
        click.option("--repeat-penalty", type=float, default=1.0, show_default=True, help="Above 1: fewer repetitions."),
        click.option("--seed", type=int, help="The same seed gives the same text. Default: another one at every run."),
    ]

    def decorate(command: Any) -> Any:
        for option in reversed(options if draws else options[:-1]):
            command = option(command)
        return command

    return decorate


def settings_of(seed: int | None = None, **others: Any) -> Settings:
    """What the options of sampling say, checked; a seed that nobody gave is drawn by the system."""
    from milestones.m3.sampler import Settings

    return Settings(seed=secrets.randbits(32) if seed is None else seed, **others)


def model_path(given: Path | None, quiet: bool = False) -> Path:
    """The model file to use: the one given, or the default one, fetched on first use."""
    from milestones.m1.fetch import cached_model, fetch

    return given or cached_model() or fetch(progress=not quiet)
