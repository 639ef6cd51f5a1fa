"""What the HTTP app answers."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from pathlib import Path

import pytest
import zstandard

from tests.app_fixture import StartApp

JSON_INDEX = "application/vnd.pypi.simple.v1+json"


def test_every_answer_has_the_security_headers(start_app: StartApp) -> None:
    app = start_app("--no-nats")
    for path in ("/", "/main.mjs", "/config.json", "/nothing", "/simple/"):
        headers = app.fetch(path)[1]
        policy = headers["Content-Security-Policy"]
        assert "script-src 'self' 'wasm-unsafe-eval';" in policy
        assert "'unsafe-eval'" not in policy.replace("'wasm-unsafe-eval'", "")
        assert "'unsafe-inline'" not in policy
        assert "object-src 'none'" in policy
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert headers["Cross-Origin-Embedder-Policy"] == "require-corp"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Server"] is None


def test_the_policy_lets_the_page_connect_to_its_server_only(start_app: StartApp) -> None:
    app = start_app()
    nats = app.get("/config.json")["nats"]
    policy = app.fetch("/")[1]["Content-Security-Policy"]
    connect = re.search(r"connect-src ([^;]+);", policy)
    assert connect is not None
    localhost = nats.replace("127.0.0.1", "localhost")
    assert connect[1].split() == ["'self'", nats, localhost]


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "text/html"),
        ("/style.css", "text/css"),
        ("/main.mjs", "text/javascript"),
        ("/favicon.svg", "image/svg+xml"),
        ("/config.json", "application/json"),
        ("{pyodide}pyodide.mjs", "text/javascript"),
        ("{pyodide}pyodide.asm.wasm", "application/wasm"),
        ("{pyodide}python_stdlib.zip", "application/zip"),
        ("{pyodide}pyodide-lock.json", "application/json"),
        ("{wheel}", "application/zip"),
        ("{snapshot}", "application/octet-stream"),
    ],
)
def test_mime_types(start_app: StartApp, path: str, kind: str) -> None:
    app = start_app("--no-nats")
    config = app.get("/config.json")
    status, headers, _ = app.fetch(path.format_map(config))
    assert status == 200
    assert headers.get_content_type() == kind


def test_large_files_are_packed_cached_and_known_again(start_app: StartApp) -> None:
    app = start_app("--no-nats")
    path = app.get("/config.json")["pyodide"] + "pyodide.asm.wasm"
    _, plain, body = app.fetch(path)
    _, packed, small = app.fetch(path, Accept_Encoding="gzip")
    assert gzip.decompress(small) == body
    assert len(small) < len(body) / 2
    assert packed["Content-Encoding"] == "gzip"
    assert int(packed["X-Uncompressed-Length"]) == len(body)
    _, best, smallest = app.fetch(path, Accept_Encoding="gzip, deflate, br, zstd")
    assert zstandard.decompress(smallest) == body
    assert len(smallest) < len(small)
    assert best["Content-Encoding"] == "zstd"
    assert app.fetch(path, Accept_Encoding="zstd;q=0, gzip;q=0.5")[1]["Content-Encoding"] == "gzip"
    assert app.fetch(path, Accept_Encoding="gzip;q=0.0")[1]["Content-Encoding"] is None
    assert plain["Vary"] == packed["Vary"] == "Accept-Encoding"
    assert "immutable" in plain["Cache-Control"]
    status, headers, nothing = app.fetch(path, If_None_Match=plain["ETag"])
    assert (status, nothing, headers["ETag"]) == (304, b"", plain["ETag"])
    assert app.fetch(path, If_None_Match='"other"')[0] == 200


def test_the_pages_own_files_are_asked_for_again(start_app: StartApp) -> None:
    app = start_app("--no-nats")
    _, headers, _ = app.fetch("/main.mjs")
    assert headers["Cache-Control"] == "no-cache"
    assert app.fetch("/main.mjs", If_None_Match=headers["ETag"])[0] == 304


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/../pyproject.toml",
        "/..%2fpyproject.toml",
        "/%2e%2e/pyproject.toml",
        "//etc/passwd",
        "/views",
        "/package.json",
        "/node/take_snapshot.mjs",
        "/node_modules/pyodide/package.json",
        "/examples/hello/hello.py",
        "/simple/nothing/",
    ],
)
def test_nothing_else_is_served(start_app: StartApp, path: str) -> None:
    app = start_app("--no-nats")
    assert app.fetch(path)[0] == 404


def test_the_configuration_has_the_tag_of_every_file(start_app: StartApp) -> None:
    app = start_app("--no-nats", "--example", "hello")
    config = app.get("/config.json")
    assert {"/", "/sw.mjs", config["wheel"], config["snapshot"]} <= set(config["files"])
    assert "/node/take_snapshot.mjs" not in config["files"]
    for path in ("/", "/main.mjs", "/style.css", config["wheel"], *config["example"]["files"]):
        assert app.fetch(path)[1]["ETag"] == f'"{config["files"][path]}"'


def test_what_runs_under_another_policy_is_another_file(
    start_app: StartApp, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    apart, together = start_app("--no-nats"), start_app(folder=tmp_path / "other")
    changed = {
        path
        for path, tag in apart.get("/config.json")["files"].items()
        if tag != together.get("/config.json")["files"][path]
    }
    assert {"/", "/worker.mjs"} <= changed
    assert not any(path.endswith((".wasm", ".css", ".bin")) for path in changed)


def test_the_index_in_both_forms(start_app: StartApp) -> None:
    app = start_app("--no-nats")
    root = app.get("/simple/", accept=JSON_INDEX)
    assert [project["name"] for project in root["projects"]] == ["agents-core", "micropip"]
    project = app.get("/simple/agents-core/", accept=JSON_INDEX)
    assert project["meta"]["api-version"] == "1.1"
    (file,) = project["files"]
    _, headers, wheel = app.fetch("/wheels/" + file["filename"])
    assert hashlib.sha256(wheel).hexdigest() == file["hashes"]["sha256"]
    assert file["requires-python"] == ">=3.11"
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    _, html_headers, html = app.fetch("/simple/Agents.Core/")
    assert html_headers.get_content_type() == "text/html"
    assert f'href="{file["url"]}#sha256='.encode() in html


def test_the_lock_names_our_wheels_and_no_others(start_app: StartApp) -> None:
    app = start_app("--no-nats")
    lock = json.loads(app.fetch(app.get("/config.json")["pyodide"] + "pyodide-lock.json")[2])
    assert set(lock["packages"]) == {"agents-core", "micropip"}
    for package in lock["packages"].values():
        wheel = app.fetch(package["file_name"])[2]
        assert hashlib.sha256(wheel).hexdigest() == package["sha256"]


def test_the_example_is_described_and_served(start_app: StartApp) -> None:
    app = start_app("--no-nats", "--example", "hello")
    example = app.get("/config.json")["example"]
    assert example["module"] == "hello"
    assert example["panel"] is None
    assert app.fetch(example["files"][0])[0] == 200
