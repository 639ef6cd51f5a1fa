"""The benchmark command runs, in small, and says what it measured. No timing is judged here."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
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
}
SLOW_PLACES = {
    "hosts, processes",
    "hosts, processes, while one hangs",
    "hosts, workers of the tab",
    "hosts, workers of the tab, while one hangs",
    "boot, our page",
    "boot, loadPyodide and the import of the wheel",
}


def measured(folder: Path, parts: Sequence[str], runs: int) -> tuple[set[str], str]:
    """The places of the figures, which are there and make sense, and what was printed."""
    file = folder / "figures.json"
    only = [flag for part in parts for flag in ("--only", part)]
    flags = ["--runs", str(runs), "--scale", "0.01", "--json", str(file)]
    command = [sys.executable, "-m", "benchmarks", *only, *flags]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    figures = json.loads(file.read_text(encoding="utf-8"))
    for item in figures["results"]:
        if not item["what"].endswith(("KiB", "MiB")):
            assert item["median"] > 0
            assert len(item["values"]) == runs
    return {item["where"] for item in figures["results"]}, result.stdout


def test_the_command_gives_a_table_and_json(tmp_path: Path) -> None:
    parts = ("local", "native", "jetstream", "memory", "tab")
    places, printed = measured(tmp_path, parts, runs=2)
    assert places == PLACES
    for place in PLACES:
        assert place in printed
    for peer in ("native, nats-py", "JetStream, nats-py", "tab, nats.js", "tab, bare WebSocket"):
        assert f" / {peer}" in printed


def test_it_measures_hosts_and_the_start_of_a_page(tmp_path: Path) -> None:
    places, _ = measured(tmp_path, ("hosts", "boot"), runs=1)
    assert places == SLOW_PLACES
