"""The short form of `make fuzz`, and that it would find something."""

from __future__ import annotations

import json
import secrets
import shutil
from pathlib import Path
from typing import Any

import pytest

from agents_core.nats.parser import Parser
from tests.core.nats import reference
from tests.fuzz.parser import VECTORS, keep, search

SECONDS = 30.0
FOUND_SECONDS_MAX = 20.0


def test_thirty_seconds_find_nothing() -> None:
    number = secrets.randbits(32)
    report = search(SECONDS, number)
    assert report.wrong is None, f"python -m tests.fuzz {SECONDS} {number}: {report.wrong}"
    assert report.inputs > 0


def test_a_fault_that_only_some_splits_show_is_found_and_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    right = Parser.feed

    def wrong(self: Parser, data: bytes, *found: Any) -> None:
        if data != b"\r":  # which is lost when it comes alone
            right(self, data, *found)

    monkeypatch.setattr(Parser, "feed", wrong)
    report = search(FOUND_SECONDS_MAX, 1)
    assert report.wrong is not None
    assert len(report.wrong.data) < 20, "it was not made small"
    vectors = Path(shutil.copy(VECTORS, tmp_path))
    keep(report.wrong, vectors)
    before, after = (json.loads(path.read_text()) for path in (VECTORS, vectors))
    assert after[:-1] == before
    added = after[-1]
    data = added["bytes"].encode("latin-1")
    assert data == report.wrong.data
    assert (added["events"], added.get("error", False)) == reference.parse(data)
