"""`agents export`: the same files as `agents up` serves, for other servers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from agents_core.errors import StorageError, TransportError, Unsupported
from agents_server.cli import main, parser
from agents_server.config import Config
from agents_server.export import export
from agents_server.project import Project
from agents_server.site import Site

PAGES = Path(__file__).parents[2] / "examples" / "page"


@pytest.fixture(scope="module")
def site() -> Site:
    """What `agents up --pages examples/page` would serve."""
    return Site.gather(Project.find(), Config(pages=PAGES), None)


def settings_in(folder: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return found


def test_every_file_is_written_where_its_path_says(site: Site, tmp_path: Path) -> None:
    count = export(site, tmp_path, nats="wss://nats.example.org")
    written = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")}
    files = [path.lstrip("/") for path in (*site.assets, *site.paths()) if not path.endswith("/")]
    index = {f"simple/{name}/index.html" for name in site.index.projects}
    assert {*files, *index, "config.json"} <= written | {"page/index.html"}
    assert count == len(files) + len(index) + 3  # two paths that end with a slash, and config.json
    assert (tmp_path / "page" / "index.html").read_bytes() == (PAGES / "index.html").read_bytes()
    settings = settings_in(tmp_path)
    assert settings["nats"] == "wss://nats.example.org"
    assert settings["pyodide"] == site.settings["pyodide"]
    assert settings["files"] == site.tags("")


def test_paths_begin_where_the_folder_will_be(site: Site, tmp_path: Path) -> None:
    export(site, tmp_path, base="/a/b/")
    settings = settings_in(tmp_path)
    for name in ("pyodide", "wheel", "snapshot", "index"):
        path = str(settings[name])
        assert path.startswith("/a/b/")
        assert (tmp_path / path.removeprefix("/a/b/")).exists()
    lock = tmp_path / str(settings["pyodide"]).removeprefix("/a/b/") / "pyodide-lock.json"
    packages = json.loads(lock.read_text(encoding="utf-8"))["packages"].values()
    assert {package["file_name"].startswith("/a/b/wheels/") for package in packages} == {True}
    assert settings["files"] == {settings["snapshot"]: site.assets[site.settings["snapshot"]].tag}


def test_a_file_in_the_way_is_named(site: Site, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("a file", encoding="utf-8")
    with pytest.raises(StorageError, match="there"):
        export(site, tmp_path / "there")


@pytest.mark.parametrize("name", [".", "site", "deep/site"])
def test_pages_do_not_hold_their_own_copy(site: Site, tmp_path: Path, name: str) -> None:
    (tmp_path / "index.html").write_text("mine", encoding="utf-8")
    with pytest.raises(Unsupported, match="outside"):
        export(replace(site, pages=tmp_path), tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]


def test_a_server_that_no_page_reaches_is_refused(site: Site, tmp_path: Path) -> None:
    for nats in ("http://nats.example.org", "nats://nats.example.org", "ws://a,localhost:4222"):
        with pytest.raises(Unsupported, match="wss"):
            export(site, tmp_path / "site", nats=nats)
    with pytest.raises(TransportError, match="host or port"):
        export(site, tmp_path / "site", nats="ws://nats.example.org:99999")
    assert not (tmp_path / "site").exists()


def test_a_page_that_can_not_be_read_is_named(site: Site, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "secret.txt").symlink_to("/proc/self/mem")  # can't be read from its start
    with pytest.raises(StorageError, match=r"can't use .*secret\.txt"):
        export(replace(site, pages=tmp_path / "mine"), tmp_path / "site")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--base", "foo"],
        ["--base", "//elsewhere/"],
        ["--base", "https://elsewhere/"],
        ["--base", ""],
        ["--pyodide-url", "foo"],
        ["--pyodide-url", "foo/"],
        ["--pyodide-url", "//cdn.example/pyodide/"],
        ["--pyodide-url", "https://cdn.example/pyodide"],
        ["--pyodide-url", "ftp://cdn.example/"],
    ],
)
def test_a_flag_that_makes_no_page_work_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["export", str(tmp_path / "site"), *arguments])
    assert f"argument {arguments[0]}: {arguments[1]!r} is no " in capsys.readouterr().err
    assert not (tmp_path / "site").exists()


def test_an_empty_name_is_not_the_folder_that_we_are_in(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for arguments in ([""], ["site", "--pages", ""]):
        with pytest.raises(SystemExit, match="2"):
            main(["export", *arguments])
        assert "'' is no folder" in capsys.readouterr().err
    assert not [*tmp_path.iterdir()]


def test_a_space_that_no_page_could_join_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(tmp_path / "site"), "--space", "a.b"]) == 1
    assert "invalid id 'a.b'" in capsys.readouterr().err
    assert not (tmp_path / "site").exists()


@pytest.mark.parametrize("base", ["/", "/a", "/a/b/"])
@pytest.mark.parametrize("url", ["", "/pg/pyodide/", "https://cdn.example:1/", "http://[::1]/p/"])
def test_places_that_work_are_taken(base: str, url: str) -> None:
    flags = parser().parse_args(["export", "site", "--base", base, "--pyodide-url", url])
    assert (flags.base, flags.pyodide_url) == (base, url)


def test_the_command_says_what_it_did(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["export", "site", "--pages", str(PAGES)]) == 0
    assert "files in site" in capsys.readouterr().out
    assert (tmp_path / "site" / "agents.mjs").is_file()


def test_the_command_says_it_where_the_terminal_has_not_every_letter(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "agents_server", "export", "ü"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(r" files in \xfc" + "\n")
    assert (tmp_path / "ü" / "agents.mjs").is_file()


@pytest.mark.parametrize("name", ["views", "simple", "wheels", "pyodide", os.fsdecode(b"\xff")])
def test_a_folder_of_pages_can_not_take_a_name_of_the_sites_or_one_without_a_url(
    name: str, tmp_path: Path
) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "index.html").write_text("mine", encoding="utf-8")
    with pytest.raises(Unsupported, match="another name"):
        Site.gather(Project.find(), Config(pages=tmp_path / name), None)


def test_a_folder_of_pages_has_an_index(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match=r"index\.html"):
        Site.gather(Project.find(), Config(pages=tmp_path), None)
