"""What is made when the project is built: the snapshot of Pyodide, and the packed files."""

from __future__ import annotations

import gzip
import json
import shutil
import struct
from pathlib import Path

import pytest
import zstandard

from agents_core.errors import Unsupported
from agents_server.build import build
from agents_server.project import Project
from agents_server.snapshot import Snapshot, take

HEADER_BYTES = 48
VERSION_20 = 'if [ "$1" = --version ]; then echo v20.0.0; exit; fi'


@pytest.fixture
def clone(tmp_path: Path) -> Project:
    """As much of this clone as a snapshot needs, to be changed."""
    real = Project.find()
    (tmp_path / "dist").mkdir()
    for wheel in real.wheels():
        shutil.copy(wheel, tmp_path / "dist")
    pages = shutil.ignore_patterns("node_modules")
    shutil.copytree(real.root / "web", tmp_path / "web", ignore=pages)
    (tmp_path / "web" / "node_modules").symlink_to(real.root / "web" / "node_modules")
    return Project(tmp_path)


def program(folder: Path, name: str, script: str) -> None:
    """Put a program where it is found first, and no other."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    (folder / name).chmod(0o755)


def test_it_is_named_after_what_it_is_made_of(clone: Project) -> None:
    first = Snapshot.of(clone)
    assert Snapshot.of(clone) == first == Snapshot.of(Project(clone.root))
    assert first.path.name.startswith(first.key)
    assert first.key in first.url
    keys = {first.key, Snapshot.of(clone, "https://example.org/pyodide/").key}
    with (clone.root / "web" / "snapshot.mjs").open("a", encoding="utf-8") as file:
        file.write("// changed\n")
    keys.add(Snapshot.of(clone).key)
    with clone.wheel().open("ab") as file:
        file.write(b"changed")
    keys.add(Snapshot.of(clone).key)
    assert len(keys) == 4


def test_it_is_taken_once_and_alone(
    clone: Project, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = Snapshot.of(clone).path.parent
    folder.mkdir(parents=True)
    (folder / "old.bin").write_bytes(b"of an earlier build")
    taken = take(clone)
    assert taken == Snapshot.of(clone)
    assert list(folder.iterdir()) == [taken.path]
    monkeypatch.setenv("PATH", "")  # no Node any more
    assert take(clone) == taken
    assert capfd.readouterr().err == ""


def test_it_holds_nothing_of_its_maker_and_no_object_of_javascript_s() -> None:
    path = Snapshot.of(Project.find()).path
    assert path.is_file(), "no snapshot of this build: run `make wheel`, with Node on the PATH"
    body = path.read_bytes()
    _, _, length = struct.unpack_from("<III", body)
    objects = json.loads(body[HEADER_BYTES : HEADER_BYTES + length])
    assert set(objects["hiwireKeys"]) <= {None}
    assert str(Project.find().root).encode() not in body
    assert b"take_snapshot" not in body


def test_files_are_packed_once_and_those_of_earlier_builds_deleted(clone: Project) -> None:
    store = clone.cache()
    shutil.copytree(Project.find().cache(), store)
    (store / f"{0:064}.zstd").write_bytes(b"of an earlier build")
    site = build(clone)
    wasm = next(asset for path, asset in site.assets.items() if path.endswith(".wasm"))
    assert zstandard.decompress(wasm.packed["zstd"]) == wasm.body
    assert gzip.decompress(wasm.packed["gzip"]) == wasm.body
    names = {path.name for path in store.iterdir()}
    assert not any(name.startswith("0" * 64) for name in names)
    before = {path: path.stat().st_mtime_ns for path in store.glob("*.zstd")}
    build(clone)
    assert {path: path.stat().st_mtime_ns for path in store.glob("*.zstd")} == before


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("", "without Node"),
        ("echo v16.20.0", "v16.20.0"),
        (f"{VERSION_20}; exit 1", "by this Node"),
        (f"{VERSION_20}; while :; do :; done", "by this Node"),
    ],
)
def test_without_a_node_that_can_there_is_none(
    clone: Project,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    script: str,
    reason: str,
) -> None:
    programs = clone.root / "programs"
    programs.mkdir()
    if script:
        program(programs, "node", script)
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setattr("agents_server.snapshot.SECONDS_MAX", 1)
    with pytest.raises(Unsupported, match=reason):
        take(clone)
    site = build(clone)
    assert "each browser takes its own" in capsys.readouterr().out
    assert site.settings["snapshot"] not in site.assets
