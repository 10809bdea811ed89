"""Fixtures of the embed stage; the world that they build from is in `embed_world`."""

import functools
from collections.abc import Callable
from pathlib import Path

import pytest
from embed_world import build

from bulkformer.embed.interface import Embedder


@pytest.fixture
def fitted(tmp_path: Path) -> Callable[..., Embedder]:
    """`build` in the folder of the test."""
    return functools.partial(build, tmp_path)
