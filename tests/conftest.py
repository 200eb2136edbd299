"""Fixtures of the whole-engine tests: the default model in our engine, and the same file in transformers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from milestones.m7.engine import Engine


@pytest.fixture(scope="session")
def engine(model_path) -> Engine:
    """The engine on the default model and on the naive kernels, which show what they do, loaded once."""
    from milestones.m7.engine import Engine

    return Engine(model_path, kernels="naive")


@pytest.fixture(scope="session")
def fast(model_path) -> Engine:
    """The same on m6's kernels."""
    from milestones.m7.engine import Engine

    made = Engine(model_path)
    assert made.kernels == "fast"
    return made


@pytest.fixture(scope="session")
def oracle(model_path):
    """transformers' float32 model of the very same file: the implementation nobody here wrote."""
    from milestones.m7.golden.make import load_oracle

    return load_oracle(model_path)[0]
