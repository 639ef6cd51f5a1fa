"""The `nats_server` fixtures: a real server on free ports, started by the test session."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agents_server.nats_server import NatsServer


@pytest.fixture(scope="session")
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """One server for the tests that leave it alone; use fresh subjects."""
    server = NatsServer(tmp_path_factory.mktemp("nats"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def own_nats_server(tmp_path: Path) -> Iterator[NatsServer]:
    """A server that the test may kill, stop and start again on the same ports."""
    server = NatsServer(tmp_path / "nats")
    server.start()
    yield server
    server.kill()
