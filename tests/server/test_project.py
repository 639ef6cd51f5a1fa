"""Where the page comes from."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agents_server.project import Project

BROKEN = """
import sys
from pathlib import Path
from agents_server.cli import main
from agents_server.project import Example, Project

Project.example = lambda project, name: Example(name, Path("."))
sys.exit(main(["up", "--no-nats", "--port", "0", "--example", "mine"]))
"""


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def server(:", ["mine.py", "def server(:", "SyntaxError: invalid syntax"]),
        ("1 / 0", ["mine.py", "1 / 0", "ZeroDivisionError: division by zero"]),
        ("import nowhere", ["mine.py", "import nowhere", "No module named 'nowhere'"]),
        ("", ["AttributeError: it has no function `server`"]),
    ],
)
async def test_an_example_that_is_broken_is_told_from_where_it_is(
    source: str, said: list[str], tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(source, encoding="utf-8")
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", BROKEN],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    last = done.stderr.splitlines()[-1]
    assert (done.returncode, last.startswith("agents: module 'mine': ")) == (1, True)
    assert all(words in done.stderr for words in said)
    assert "agents_server" not in done.stderr


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
