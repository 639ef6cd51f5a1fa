"""Where the page comes from."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agents_server.project import Project


@pytest.mark.parametrize("arguments", [["up"], ["export", "out"]])
async def test_an_installed_package_has_no_page_and_says_so(
    arguments: list[str], tmp_path: Path
) -> None:
    wheel = max((Project.find().root / "dist").glob("agents_core-*.whl"))
    installed = shutil.copy(wheel, tmp_path)
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "agents_server", *arguments],
        cwd=tmp_path,
        env={"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )
    text = "a page outside of a clone is not available here: clone the project and use `make up`"
    assert (done.returncode, done.stderr) == (1, f"agents: {text}\n")
