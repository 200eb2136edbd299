"""Fixtures of the whole-engine tests: the default model in our engine, and the same file in transformers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from milestones.m7.engine import Engine


@pytest.fixture(scope="session")
def engine(model_path) -> Engine:
    """The engine on the default model, loaded once."""
    from milestones.m7.engine import Engine

    return Engine(model_path)


@pytest.fixture(scope="session")
def oracle(model_path):
    """transformers' float32 model of the very same file: the implementation nobody here wrote."""
    from milestones.m7.golden.make import load_oracle

    return load_oracle(model_path)[0]
