"""The benchmark command runs, in small, and says what it measured. No timing is judged here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PLACES = {
    "local, LocalBus",
    "local, agents",
    "local, event loop",
    "native, our client over TCP",
    "native, our client over WebSocket",
    "native, nats-py",
    "native, our bus over nats-py",
    "native, agents over nats://",
    "native, agents over ws://",
    "JetStream, our client over TCP",
    "JetStream, nats-py",
    "object store, our client over TCP",
    "object store, our client over WebSocket",
    "object store, nats-py",
    "memory, our client",
    "tab, our client",
    "tab, nats.js",
    "tab, bare WebSocket",
    "tab, local, agents",
    "tab, our event loop",
    "tab, Pyodide's event loop",
    "tab, agents over WebSocket",
    "hosts, processes",
    "hosts, processes, while one hangs",
    "hosts, workers of the tab",
    "hosts, workers of the tab, while one hangs",
    "boot, our page",
    "boot, loadPyodide and the import of the wheel",
}


def test_the_command_gives_a_table_and_json(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    measured = ("local", "native", "jetstream", "memory", "tab", "hosts", "boot")
    parts = [flag for part in measured for flag in ("--only", part)]
    flags = ["--runs", "2", "--scale", "0.01", "--json", str(file)]
    command = [sys.executable, "-m", "benchmarks", *parts, *flags]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    figures = json.loads(file.read_text(encoding="utf-8"))
    assert {item["where"] for item in figures["results"]} == PLACES
    for item in figures["results"]:
        if not item["what"].endswith(("KiB", "MiB")):
            assert item["median"] > 0
            assert len(item["values"]) == 2
    for place in PLACES:
        assert place in result.stdout
    for peer in ("native, nats-py", "JetStream, nats-py", "tab, nats.js", "tab, bare WebSocket"):
        assert f" / {peer}" in result.stdout
