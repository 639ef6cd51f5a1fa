"""What is served, by its path."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents_server import site
from agents_server.assets import IMMUTABLE, Asset
from agents_server.index import Index
from agents_server.site import Site


def test_a_file_in_memory_is_found_without_a_look_into_the_users_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    walked: list[Path] = []
    monkeypatch.setattr(site, "own_pages", lambda folder: walked.append(folder) or {})
    asset = Asset.of(b"wasm", ".wasm", IMMUTABLE)
    served = Site({}, {"/pyodide/a.wasm": asset}, {}, Index([]), tmp_path)
    assert served.find("/pyodide/a.wasm", "") is asset
    assert walked == []
    assert served.find("/pyodide/b.wasm", "") is None
    assert walked == [tmp_path]
