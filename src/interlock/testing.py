"""A Vertex AI emulator for tests.

``pytest_plugins = ["interlock.testing"]`` in ``conftest.py`` gives two fixtures: ``vertex``, a fresh emulator with its
storage for the whole session, and ``aiplatform``, the client library pointed at it::

    def test_upload(aiplatform):
        model = aiplatform.Model.upload(display_name="m", serving_container_image_uri="interlock-ml")
        assert aiplatform.Model.list(filter='display_name="m"')[0].name == model.name
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from interlock.contracts import Place
from interlock.local import stack


@contextmanager
def running_emulator(state: Path) -> Iterator[Place]:
    """Start the emulators on the folder ``state``, and stop them at the end; yields where they are."""
    try:
        yield stack.up(state)
    finally:
        stack.down(state)


@pytest.fixture(scope="session")
def vertex(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Where a fresh emulator is: ``vertex.api_endpoint``, ``vertex.bucket``, …"""
    with running_emulator(tmp_path_factory.mktemp("vertex")) as place:
        yield place


@pytest.fixture(scope="session")
def aiplatform(vertex: Place) -> Any:
    """``google.cloud.aiplatform``, initialised for the emulator."""
    from interlock.vertex.client import sdk

    return sdk(vertex)
