"""Search for bytes that the parser reads differently in chunks, or not as a simple parser does.

Hypothesis makes the bytes: few control lines again and again, so that the parser remembers them,
whole or damaged. Bounds are sometimes so small that they are reached. What is found is made as
small as possible, and written to `tests/vectors/parser.json` with what should have come of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from random import Random
from time import monotonic
from typing import Any

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from agents_core.nats import parser
from agents_core.nats.headers import parse_headers, parse_status
from tests.core.nats import reference
from tests.core.nats.streams import PIECE, parse

VECTORS = Path(__file__).parents[1] / "vectors" / "parser.json"
EXAMPLES = 500
"""Inputs between two looks at the clock."""

SPLITS_MAX = 64
"""Ways of cutting one input in two; of longer inputs a sample."""

SMALL = {"LINE_BYTES_MAX": 40, "INFO_BYTES_MAX": 60, "PAYLOAD_BYTES_MAX": 90, "MEMO_LINES_MAX": 2}


class Wrong(AssertionError):
    """The parser is wrong about `data`, cut at `cuts`; a memo of what was tried last."""

    def __init__(self, data: bytes, cuts: list[int], small: bool) -> None:
        super().__init__(f"{data!r} cut at {cuts}, {'small' if small else 'usual'} bounds")
        self.data, self.cuts, self.small = data, cuts, small

    def vector(self) -> str:
        """A line for `parser.json`; what it expects is what the simple parser finds."""
        events, error = reference.parse(self.data)
        found: dict[str, Any] = {"name": f"fuzz {self.data.hex()[:32]}"}
        found |= {"bytes": self.data.decode("latin-1"), "events": events}
        return json.dumps(found | ({"error": True} if error else {}))


@dataclass
class Report:
    """What a search did: inputs, the parses that they took, and what is wrong, if anything."""

    inputs: int = 0
    parses: int = 0
    wrong: Wrong | None = None


@contextmanager
def bounds(small: bool) -> Iterator[None]:
    """Bounds that short inputs reach."""
    usual = {name: getattr(parser, name) for name in SMALL}
    vars(parser).update(SMALL if small else {})
    try:
        yield
    finally:
        vars(parser).update(usual)


def check(data: bytes, cuts: list[int], small: bool, report: Report) -> None:
    """Every way of cutting `data` gives what the simple parser gives.

    Raises:
        Wrong: one does not.
    """
    expected = reference.parse(data)
    ends = range(1, len(data))
    ways = [[], [*ends], sorted({cut for cut in cuts if cut < len(data)})]
    ways += [[end] for end in ends[:: max(1, len(data) // SPLITS_MAX)]]
    for places in ways:
        report.parses += 1
        if parse([data[a:b] for a, b in pairwise([0, *places, len(data)])]) != expected:
            raise Wrong(data, places, small)
    for item in expected[0]:
        if item[0] == "MSG":  # what anybody may send as headers is never an error
            raw = item[4].encode("latin-1")
            parse_status(raw)
            parse_headers(raw)


WORDS = ("\r", "\n", "\r\n", " ", "\t", "\v", "\0", "\xff", "'", "-", "0", "9", "99999999999")
VERBS = ("MSG ", "HMSG ", "msg", "PING", "pong", "+OK", "-ERR", "INFO {", "}")
TOKEN = st.sampled_from([text.encode("latin-1") for text in WORDS + VERBS])
DAMAGE = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 3), TOKEN), max_size=3)


def _damaged(data: bytes, damage: list[tuple[int, int, bytes]]) -> bytes:
    """Some bytes of `data` replaced by a token; none, to have it inserted."""
    for place, length, token in damage:
        begin = place % (len(data) + 1)
        data = data[:begin] + token + data[begin + length :]
    return data


@st.composite
def _streams(draw: st.DrawFn) -> bytes:
    pieces = draw(st.lists(PIECE, min_size=1, max_size=3))
    stream = draw(st.lists(st.sampled_from(pieces), max_size=8).map(b"".join))
    return _damaged(stream, draw(DAMAGE))


INPUT = st.tuples(_streams(), st.lists(st.integers(1, 400), max_size=6), st.booleans())


def search(seconds: float, number: int) -> Report:
    """Look for that long; the same number looks at the same inputs, as far as it comes."""
    report, rng, ends = Report(), Random(number), monotonic() + seconds

    def attempt(found: tuple[bytes, list[int], bool]) -> None:
        data, cuts, small = found
        report.inputs += 1
        with bounds(small):
            check(data, cuts, small, report)

    quiet = settings(
        max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    while monotonic() < ends:
        try:
            seed(rng.getrandbits(64))(quiet(given(INPUT)(attempt)))()
        except Wrong as error:
            report.wrong = error
            return report
    return report


def keep(wrong: Wrong, path: Path = VECTORS) -> None:
    """Add what was found to the vectors, which the parser's tests read from then on."""
    text = path.read_text(encoding="utf-8")
    assert text.endswith("\n]\n")
    path.write_text(f"{text[:-3]},\n  {wrong.vector()}\n]\n", encoding="utf-8")
