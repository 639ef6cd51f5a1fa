"""`python -m tests.fuzz [seconds [number]]`: exit 1, and a new vector, if something is found."""

from __future__ import annotations

import secrets
import sys

from tests.fuzz.parser import VECTORS, keep, search

SECONDS = 600.0


def main() -> int:
    """Search, and say what was done."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    number = int(sys.argv[2]) if len(sys.argv) > 2 else secrets.randbits(32)
    print(f"fuzzing the parser for {seconds:.0f} s, number {number}", flush=True)
    report = search(seconds, number)
    print(f"{report.inputs} inputs, {report.parses} parses")
    if report.wrong is None:
        return 0
    keep(report.wrong)
    print(f"wrong: {report.wrong}\nadded to {VECTORS}; judge what it expects")
    return 1


if __name__ == "__main__":
    sys.exit(main())
