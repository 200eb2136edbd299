"""What a page may ask: each field of a request has a kind and a range, and a value outside it is refused in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from milestones.errors import UserError


class Field(Protocol):
    """Checks one value of a request and hands it on. Raises UserError naming the field."""

    def __call__(self, name: str, value: Any) -> Any: ...


@dataclass(frozen=True)
class Text:
    """A text of at most so many bytes of UTF-8; a lone surrogate is no character."""

    most: int

    def __call__(self, name: str, value: Any) -> str:
        if not isinstance(value, str):
            raise UserError(f"{name} must be a text")
        try:
            size = len(value.encode())
        except UnicodeEncodeError as problem:
            found = f"a lone surrogate at character {problem.start}"
            raise UserError(f"{name} holds {found}: half of a pair is no character, leave it out") from None
        if size > self.most:
            raise UserError(f"{name} is {size:,} bytes long, a diagram takes {self.most:,}: shorten it")
        return value


@dataclass(frozen=True)
class Whole:
    """A whole number in a range, both ends included."""

    least: int
    most: int

    def __call__(self, name: str, value: Any) -> int:
        if type(value) is float and value.is_integer():
            value = int(value)
        if type(value) is not int or not self.least <= value <= self.most:
            raise UserError(f"{name} must be a whole number from {self.least:,} to {self.most:,}")
        return value


@dataclass(frozen=True)
class Real:
    """A number in a range, both ends included."""

    least: float
    most: float

    def __call__(self, name: str, value: Any) -> float:
        if type(value) not in (int, float) or not self.least <= value <= self.most:
            raise UserError(f"{name} must be a number from {self.least:g} to {self.most:g}")
        return float(value)


@dataclass(frozen=True)
class Flag:
    """True or false."""

    def __call__(self, name: str, value: Any) -> bool:
        if type(value) is not bool:
            raise UserError(f"{name} must be true or false")
        return value


@dataclass(frozen=True)
class OneOf:
    """One of a few words."""

    words: tuple[str, ...]

    def __call__(self, name: str, value: Any) -> str:
        if not isinstance(value, str) or value not in self.words:
            raise UserError(f"{name} must be one of: {', '.join(self.words)}")
        return value


@dataclass(frozen=True)
class Wholes:
    """A list of at most so many whole numbers, each in a range."""

    length: int
    each: Whole

    def __call__(self, name: str, value: Any) -> list[int]:
        if not isinstance(value, list) or len(value) > self.length:
            raise UserError(f"{name} must be a list of at most {self.length:,} numbers")
        return [self.each(name, one) for one in value]


def checked(fields: Mapping[str, Field], given: Any) -> dict[str, Any]:
    """The request, every field checked; none may be missing, none unknown. Raises UserError."""
    if not isinstance(given, dict):
        raise UserError("a request must be a JSON object")
    unknown, missing = sorted(set(given) - set(fields)), sorted(set(fields) - set(given))
    if unknown or missing:
        said = [f"{', '.join(names)} {word}" for names, word in ((unknown, "unknown"), (missing, "missing")) if names]
        words = f"the request does not fit: {'; '.join(said)}"[:300]
        raise UserError(words.encode(errors="backslashreplace").decode())  # a name may hold what is no character
    return {name: field(name.replace("_", "-"), given[name]) for name, field in fields.items()}
