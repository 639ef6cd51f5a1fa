"""`web/agents.d.mts` says what `web/agents.mjs` is: TypeScript looks at it and at its users."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
DECLARED = ROOT / "web" / "agents.d.mts"
FLAGS = [
    "--noEmit",
    "--module",
    "nodenext",
    "--target",
    "esnext",
    "--lib",
    "esnext,dom,dom.iterable",
]


def typescript(*arguments: str | Path, folder: Path) -> str:
    """What TypeScript has to complain about."""
    program = HERE / "node_modules" / ".bin" / "tsc"
    assert program.exists(), "TypeScript is not installed: run `make test`"
    command = [program, *FLAGS, "--types", "", *arguments]
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, text=True, check=False)
    assert bool(done.returncode) == bool(done.stdout)
    return done.stdout


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The page's modules and the files to check, to be changed."""
    shutil.copytree(ROOT / "web", tmp_path / "web", ignore=shutil.ignore_patterns("node_modules"))
    types = tmp_path / "tests" / "browser" / "types"
    shutil.copytree(HERE / "types", types)
    (tmp_path / "package.json").write_text('{"type": "module"}', encoding="utf-8")
    (types / "written").mkdir()
    for module in (ROOT / "web").glob("*.mjs"):
        shutil.copy(module, types / "written")
    return tmp_path


def test_a_page_in_typescript_has_the_types_that_it_needs() -> None:
    """And each `@ts-expect-error` in it is one."""
    assert typescript("--strict", HERE / "types" / "page.ts", folder=ROOT) == ""


def test_that_page_uses_every_export_method_and_event() -> None:
    text = DECLARED.read_text(encoding="utf-8")
    page = (HERE / "types" / "page.ts").read_text(encoding="utf-8")
    exports = re.findall(r"^export (?:class|function|interface|type) (\w+)", text, re.MULTILINE)
    members = re.findall(r"^  (?:readonly )?(\w+)[?<(:]", text, re.MULTILINE)
    assert {"AgentError", "Runtime", "subscribe", "slow", "maxRestarts"} <= {*exports, *members}
    names = {*exports, *members} - {"constructor"}
    assert {name for name in names if not re.search(rf"\b{name}\b", page)} == set()


def implementation(clone: Path) -> str:
    flags = ["--strict", "--noImplicitAny", "false", "--allowJs", "--maxNodeModuleJsDepth", "0"]
    return typescript(*flags, "tests/browser/types/implementation.ts", folder=clone)


def test_the_declarations_are_those_of_the_module(clone: Path) -> None:
    assert implementation(clone) == ""


@pytest.mark.parametrize(
    ("there", "instead"),
    [
        ("  agent(id: string): Agent;", ""),
        ("  agent(id: string): Agent;", "  agent(id: string): Agent;\n  restart(): void;"),
        ("export function start(", "export const more: number;\nexport function start("),
        ("stop(): Promise<void>;", "stop(): Promise<number>;"),
    ],
)
def test_a_difference_is_found(clone: Path, there: str, instead: str) -> None:
    """Otherwise the test before would say nothing."""
    declared = clone / "web" / "agents.d.mts"
    text = declared.read_text(encoding="utf-8")
    assert there in text
    declared.write_text(text.replace(there, instead), encoding="utf-8")
    assert "implementation.ts" in implementation(clone)


def test_the_projects_own_page_uses_what_is_declared(clone: Path) -> None:
    """And nothing else of the runtime."""
    flags = ["--allowJs", "--checkJs", "--strict", "false", "--skipLibCheck"]
    assert typescript(*flags, "web/main.mjs", folder=clone) == ""
    view = clone / "web" / "views" / "message.mjs"
    text = view.read_text(encoding="utf-8")
    view.write_text(text.replace("runtime.tell(", "runtime.post("), encoding="utf-8")
    assert "'post' does not exist" in typescript(*flags, "web/main.mjs", folder=clone)
