"""The benchmark command runs, in small, and says what it measured. No timing is judged here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from agents_server.nats_server import NatsServer
from benchmarks import objects

ROOT = Path(__file__).parents[1]
PLACES = {
    "local, LocalBus",
    "local, agents",
    "native, our client over TCP",
    "native, our client over WebSocket",
    "native, nats-py",
    "native, our bus over nats-py",
    "native, agents over nats://",
    "native, agents over ws://",
    "JetStream, our client over TCP",
    "JetStream, nats-py",
    "memory, our client",
    "tab, our client",
    "tab, nats.js",
    "tab, bare WebSocket",
    "tab, local, agents",
    "tab, agents over WebSocket",
}


def test_the_command_gives_a_table_and_json(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    measured = ("local", "native", "jetstream", "memory", "tab")
    parts = [flag for part in measured for flag in ("--only", part)]
    flags = ["--runs", "2", "--scale", "0.01", "--json", str(file)]
    command = [sys.executable, "-m", "benchmarks", *parts, *flags]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    figures = json.loads(file.read_text(encoding="utf-8"))
    assert {item["where"] for item in figures["results"]} == PLACES
    for item in figures["results"]:
        if item["where"] != "memory, our client":
            assert item["median"] > 0
            assert len(item["values"]) == 2
    for place in PLACES:
        assert place in result.stdout
    for peer in ("native, nats-py", "JetStream, nats-py", "tab, nats.js", "tab, bare WebSocket"):
        assert f" / {peer}" in result.stdout


@pytest.mark.nats
async def test_the_object_store_beside_nats_py(nats_server: NatsServer) -> None:
    url, websocket_url = nats_server.url, nats_server.websocket_url
    results = await objects.of_clients(url, websocket_url, runs=2, scale=0.01)
    clients = ("our client over TCP", "our client over WebSocket", "nats-py")
    assert set(results) == {f"object store, {client}" for client in clients}
    for figures in results.values():
        assert {what: len(values) for what, values in figures.items()} == {
            objects.PUT: 2,
            objects.GET: 2,
        }
        assert min(min(values) for values in figures.values()) > 0
