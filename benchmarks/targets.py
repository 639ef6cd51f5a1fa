"""What the figures are judged by: ratios to a peer of the same run."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from benchmarks import hosts, loops
from benchmarks.suite import BACK, THROUGHPUT, Results

OWN_TCP, OWN_TAB = "native, our client over TCP", "tab, our client"
SMALL, MEDIUM, LARGE = THROUGHPUT
REQUEST = "request and reply, µs"
IN_FLIGHT = "requests, 64 in flight, per s"
OUR_LOOP = "tab, our event loop"
PULL = "pull and acknowledge 128 B, per s"
OUR_PAGE, STOCK_BOOT = "boot, our page", "boot, loadPyodide and the import of the wheel"
PROCESSES, WORKERS = "hosts, processes", "hosts, workers of the tab"
FIRST, SECOND, FURTHER = "first visit, µs", "second visit, µs", "further worker, µs"


@dataclass(frozen=True)
class Target:
    """One ratio: ours to a peer's.

    Attributes:
        ours: whose figure.
        theirs: compared to whose.
        what: which figure.
        wanted: the ratio to reach; a time has to stay below it, a rate above.
    """

    ours: str
    theirs: str
    what: str
    wanted: float

    def ratio(self, results: Results) -> float | None:
        """The median of the runs' ratios, or None if one of the two was not measured.

        Of each run, as a machine that others use is a faster one in some of them.
        """
        ours, theirs = (results.get(who, {}).get(self.what) for who in (self.ours, self.theirs))
        if not ours or not theirs:
            return None
        return median(our / their for our, their in zip(ours, theirs, strict=True))

    def reached(self, ratio: float) -> bool:
        """Whether that is good enough."""
        return ratio <= self.wanted if self.what.endswith("µs") else ratio >= self.wanted


def _native(ours: str, theirs: str) -> list[Target]:
    return [
        Target(ours, theirs, SMALL, 2.5),
        Target(ours, theirs, MEDIUM, 2.5),
        Target(ours, theirs, LARGE, 1.3),
    ]


TARGETS = (
    *_native(OWN_TCP, "native, nats-py"),
    Target(OWN_TCP, "native, nats-py", REQUEST, 0.85),
    Target(OWN_TCP, "native, nats-py", IN_FLIGHT, 1.5),
    Target("JetStream, our client over TCP", "JetStream, nats-py", PULL, 5.0),
    *_native(f"Python 3.13, {OWN_TCP}", "Python 3.13, native, natsio"),
    Target(OWN_TAB, "tab, nats.js", SMALL, 2.0),
    Target(OWN_TAB, "tab, nats.js", MEDIUM, 1.5),
    Target(OWN_TAB, "tab, nats.js", LARGE, 1.3),
    Target(OWN_TAB, "tab, nats.js", BACK, 1.1),
    Target(OWN_TAB, "tab, bare WebSocket", SMALL, 0.5),
    Target(OWN_TAB, "tab, bare WebSocket", MEDIUM, 0.7),
    Target(OWN_TAB, "tab, bare WebSocket", LARGE, 0.75),
    Target(OUR_LOOP, "tab, Pyodide's event loop", loops.SLEEP, 12),
    Target(OUR_LOOP, "tab, Pyodide's event loop", loops.PING_PONG, 4),
    Target(OUR_LOOP, "tab, Pyodide's event loop", loops.SPAWN, 5),
    Target(OUR_LOOP, "local, event loop", loops.SLEEP, 0.7),
    Target(OUR_PAGE, STOCK_BOOT, FIRST, 0.40),
    Target(OUR_PAGE, STOCK_BOOT, SECOND, 0.30),
    Target(OUR_PAGE, STOCK_BOOT, FURTHER, 0.25),
    Target(hosts.hanging(PROCESSES), PROCESSES, hosts.NEIGHBOUR, 2.0),
    Target(hosts.hanging(WORKERS), WORKERS, hosts.NEIGHBOUR, 2.0),
)


def table(results: Results) -> str:
    """Which targets were reached, for people; those that were not measured are left out."""
    lines = []
    for target in TARGETS:
        ratio = target.ratio(results)
        if ratio is not None:
            word = "reached" if target.reached(ratio) else "missed"
            pair = f"{target.ours} / {target.theirs}"
            lines.append(f"{word:8}{ratio:>6.2f} of {target.wanted:<5}{target.what}: {pair}")
    return "\n".join(lines)
