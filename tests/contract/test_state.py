"""Every state backend keeps the same promises; the one in memory does in tests/core."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents_core.testing import state
from agents_server.files import FileBackend


@pytest.mark.parametrize("check", state.CHECKS, ids=lambda check: check.__name__)
async def test_files(check: state.Check, tmp_path: Path) -> None:
    backend = FileBackend(tmp_path)
    await check(backend)
    backend.close()
