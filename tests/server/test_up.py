"""`agents up`, from the outside."""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from agents_server.nats_server import NatsServer
from tests.app import App
from tests.app_fixture import StartApp
from tests.issuer import Operator

STOP_S = 5.0
DEADLINE_S = 60.0

INTERRUPTED_START = """
import os, signal, sys
import agents_server.up
from agents_server.cli import main

class Site(agents_server.up.Site):
    @classmethod
    def gather(cls, *arguments):
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGINT)
        return super().gather(*arguments)

agents_server.up.Site = Site
sys.exit(main(["up", "--port", "0", "--log-level", "error"]))
"""
"""Somebody presses Ctrl-C three times while the files are read, which no signal interrupts."""


INTERRUPTED_IMPORT = """
import os, signal, sys

signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever the shell has made of it

class Finder:
    def find_spec(name, *_):
        if name == "agents_server.up":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Finder)
from agents_server.__main__ import main
sys.exit(main())
"""
"""Ctrl-C in the first second, while Python imports."""


RACED_START = """
import sys
import agents_server.up
from agents_server.cli import main
from agents_server.nats_server import free_port

late = [int(port) for port in sys.argv[1:]]

def look(preferred=0, **more):
    return late.pop() if late else free_port(preferred, **more)

agents_server.up.free_port = look
sys.exit(main(["up", "--port", "0", "--log-level", "error"]))
"""
"""Somebody takes these ports between the look whether they are free and nats-server's start."""


ENDED_WHILE_RESTARTING = """
import os, signal, sys, threading
import agents_server.up
from agents_server.cli import main

class NatsServer(agents_server.up.NatsServer):
    ended = threading.Event()

    def start(self):
        if self.process:
            os.kill(os.getpid(), signal.SIGINT)
            self.ended.wait(2)
        super().start()

    def stop(self):
        super().stop()
        self.ended.set()

agents_server.up.NatsServer = NatsServer
sys.exit(main(["up", "--port", "0"]))
"""
"""Ctrl-C while a nats-server that died is started again, which takes until all else has ended."""


@contextmanager
def occupied(port: int) -> Iterator[None]:
    """Somebody else has that port: we, or whoever keeps it until the deadline."""
    deadline = time.monotonic() + DEADLINE_S
    with socket.socket() as found:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        while time.monotonic() < deadline:
            with suppress(OSError):  # another test has it, which will end
                found.bind(("127.0.0.1", port))
                found.listen()
                break
            time.sleep(0.01)
        yield


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def refused(folder: Path, *arguments: str, **environment: str) -> tuple[int, str]:
    """Exit code and error output of a start that fails."""
    command = [sys.executable, "-m", "agents_server", "up", *arguments]
    result = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    return result.returncode, result.stderr.strip()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_starts_everything_and_ends_it_in_order(
    start_app: StartApp, number: signal.Signals
) -> None:
    app = start_app("--example", "hello")
    children = app.children()
    assert len(children) == 1
    assert app.get("/readyz") == {"status": "ok", "missing": []}
    assert app.get("/healthz") == {"status": "ok"}
    began = time.monotonic()
    assert app.stop(number) == 0
    assert time.monotonic() - began < STOP_S
    assert not any(lives(pid) for pid in children)
    assert any("greeter-server stopped" in line for line in app.lines)


def test_a_terminal_that_is_closed_ends_everything(tmp_path: Path) -> None:
    terminal, end = pty.openpty()
    command = [sys.executable, "-m", "agents_server", "up", "--port", "0"]
    app = App(tmp_path, [])
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # these tests may run below nohup
    app.process = subprocess.Popen(  # a session leader's first terminal is the one that it is in
        ["sh", "-c", 'tty=$1; shift; exec "$@" <>"$tty" >&0 2>&0', "sh", os.ttyname(end), *command],
        cwd=tmp_path,
        start_new_session=True,
    )
    signal.signal(signal.SIGHUP, before)
    try:
        said = b""
        while b"open http://" not in said or not said.endswith(b"\n"):  # it has written its line
            said += os.read(terminal, 1000)
        children = app.children()
        assert len(children) == 1
        os.close(end)
        os.close(terminal)
        assert app.process.wait(DEADLINE_S) == 0
        assert not any(lives(pid) for pid in children)
    finally:
        app.process.kill()


def test_goes_on_without_a_terminal_when_it_is_told_to(tmp_path: Path) -> None:
    app = App(tmp_path, ["--port", "0"])
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does; a child inherits it
    try:
        app.start()
    finally:
        signal.signal(signal.SIGHUP, before)
    app.process.send_signal(signal.SIGHUP)
    assert app.get("/healthz") == {"status": "ok"}
    assert app.stop() == 0


def test_a_second_signal_during_the_start_leaves_nothing(tmp_path: Path) -> None:
    process = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_START],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    configuration = tmp_path / ".agents" / "nats" / "nats-server.conf"
    assert configuration.exists()  # a nats-server was started
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended
            assert bytes(configuration) not in command.read_bytes()
    assert (process.returncode, process.stderr) == (130, "")


def test_a_signal_before_the_start_is_no_traceback(tmp_path: Path) -> None:
    command = [sys.executable, "-c", INTERRUPTED_IMPORT, "up"]
    process = subprocess.run(
        command, cwd=tmp_path, stderr=subprocess.PIPE, timeout=DEADLINE_S, check=False
    )
    assert (process.returncode, process.stderr) == (130, b"")


def test_an_output_that_nobody_reads_is_named(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    full = os.open("/dev/full", os.O_WRONLY)
    for output, reason, arguments in (
        (writer, "Broken pipe", ["up", "--port", "0", "--log-level", "error"]),
        (full, "No space left on device", ["export", "site"]),
    ):
        process = subprocess.run(
            [sys.executable, "-m", "agents_server", *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONUNBUFFERED": ""},
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )
        text = f"agents: can't use standard output: {reason}\n"
        assert (process.returncode, process.stderr) == (1, text)
        os.close(output)


def test_a_start_that_can_not_say_its_ports_leaves_no_nats_server(tmp_path: Path) -> None:
    with occupied(4222), open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "agents_server", "up", "--port", "0"]
        process = subprocess.run(
            command, cwd=tmp_path, stdout=full, timeout=DEADLINE_S, check=False
        )
    assert process.returncode == 1
    assert not lives(int((tmp_path / ".agents" / "nats" / "nats-server.pid").read_text()))


def test_takes_the_next_ports_and_says_so(start_app: StartApp) -> None:
    with occupied(4222), occupied(8080), occupied(8000):
        app = start_app()
        said = [line for line in app.lines if " is taken" in line]
        assert [line.split()[1] for line in said] == ["4222", "8080", "8000"]
        assert app.lines[-1] == f"open {app.url}"
        assert app.url != "http://127.0.0.1:8000/"
        assert app.get("/readyz")["status"] == "ok"


def test_looks_again_for_ports_when_somebody_was_quicker(tmp_path: Path) -> None:
    app = App(tmp_path, ["65411", "65410"], program=("-c", RACED_START))
    with occupied(65_410), occupied(65_411):
        app.start()
        assert app.get("/readyz")["status"] == "ok"
        assert app.stop() == 0


def test_gives_up_when_somebody_is_always_quicker(tmp_path: Path) -> None:
    with occupied(65_412):
        app = App(tmp_path, ["65412"] * 100, program=("-c", RACED_START))
        with pytest.raises(AssertionError, match="address already in use"):
            app.start()
        assert app.wait() == 1


def test_a_second_one_in_the_folder_is_refused(start_app: StartApp, tmp_path: Path) -> None:
    app = start_app()
    code, error = refused(tmp_path)
    assert code == 1
    assert str(app.process.pid) in error
    assert app.url in error


def test_the_next_one_may_start_when_it_has_ended(start_app: StartApp) -> None:
    assert start_app().stop() == 0
    assert start_app().get("/healthz") == {"status": "ok"}


def test_starts_a_nats_server_again_that_died(start_app: StartApp) -> None:
    app = start_app("--example", "hello")
    (first,) = app.children()
    os.kill(first, signal.SIGKILL)
    assert app.read_until("starting it again")
    deadline = time.monotonic() + DEADLINE_S
    while app.get("/readyz")["status"] != "ok" or app.children() in ([], [first]):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_nats_server_that_is_started_again_does_not_outlive_the_end(tmp_path: Path) -> None:
    app = App(tmp_path, [], program=("-c", ENDED_WHILE_RESTARTING))
    app.start()
    (first,) = app.children()
    os.kill(first, signal.SIGKILL)
    assert app.wait() == 0
    again = int((tmp_path / ".agents" / "nats" / "nats-server.pid").read_text())
    assert again != first
    assert not lives(again)


def test_an_orphan_is_stopped_by_the_next_start(start_app: StartApp) -> None:
    app = start_app()
    (orphan,) = app.children()
    app.process.kill()
    app.process.communicate()
    assert lives(orphan)
    again = start_app()
    assert not lives(orphan)
    assert again.get("/readyz")["status"] == "ok"


def test_uses_a_running_server(start_app: StartApp, nats_server: NatsServer) -> None:
    websocket = nats_server.websocket_url
    app = start_app("--nats", nats_server.url, "--nats-websocket", websocket)
    assert app.children() == []
    assert app.get("/config.json")["nats"] == websocket
    assert app.get("/readyz")["status"] == "ok"


def test_a_server_that_hangs_does_not_keep_it_from_its_end(start_app: StartApp) -> None:
    app = start_app()
    (server,) = app.children()
    os.kill(server, signal.SIGSTOP)
    assert app.stop() == 0
    assert not lives(server)
    assert any("before it was drained: out of time" in line for line in app.lines)


def test_says_who_it_is_to_a_running_server(start_app: StartApp, tmp_path: Path) -> None:
    operator = Operator()
    server = NatsServer(tmp_path / "nats", extra=operator.config())
    server.start()
    try:
        user, stranger = tmp_path / "user.creds", tmp_path / "stranger.creds"
        user.write_text(operator.account.user().creds)
        stranger.write_text(Operator().account.user().creds)
        at = ("--nats", server.url)
        assert start_app(*at, "--creds", str(user)).get("/readyz")["status"] == "ok"
        other = tmp_path / "other"
        other.mkdir()
        app = start_app(*at, folder=other, NATS_CREDS=str(user))
        assert app.get("/readyz")["status"] == "ok"
        last = tmp_path / "last"
        last.mkdir()
        for file, reason in (
            (stranger, "server: Authorization Violation"),
            (tmp_path / "none", "credentials: user_credentials: No such file or directory"),
        ):
            code, error = refused(last, *at, "--creds", str(file))
            assert code == 1
            assert error.splitlines()[-1].lower() == f"agents: {reason}".lower()
        code, error = refused(last, *at)
        assert (code, "authorization violation" in error.lower()) == (1, True)
    finally:
        server.stop()


def test_a_server_of_its_own_asks_for_no_credentials(start_app: StartApp, tmp_path: Path) -> None:
    code, error = refused(tmp_path, "--creds", "user.creds")
    assert code == 2
    assert "--creds is for the server that --nats names" in error
    assert start_app(NATS_CREDS="none").get("/readyz")["status"] == "ok"


def test_is_not_ready_without_its_server(start_app: StartApp, own_nats_server: NatsServer) -> None:
    app = start_app("--nats", own_nats_server.url)
    assert app.get("/readyz")["status"] == "ok"
    own_nats_server.kill()
    deadline = time.monotonic() + DEADLINE_S
    while app.get("/readyz")["status"] == "ok":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert own_nats_server.url in app.get("/readyz")["missing"][0]
    assert app.get("/healthz")["status"] == "ok"


def handshake(app: App, origin: str | None) -> int:
    """What its NATS server answers to a page of that origin; None is no browser."""
    url = app.get("/config.json")["nats"]
    try:
        with connect(url, origin=Origin(origin) if origin else None):
            return 101
    except InvalidStatus as refusal:
        return refusal.response.status_code


def test_pages_of_other_origins_do_not_reach_its_nats_server(start_app: StartApp) -> None:
    app = start_app("--origin", "http://localhost:8888", "--origin", "https://site.example")
    own = app.url.rstrip("/")
    for origin in (own, own.replace("127.0.0.1", "localhost"), None):
        assert handshake(app, origin) == 101
    for origin in ("http://localhost:8888", "https://site.example"):
        assert handshake(app, origin) == 101
    for origin in ("http://localhost:8889", "http://site.example", "http://evil.example", "null"):
        assert handshake(app, origin) == 403


def test_origins_are_for_a_server_of_its_own(tmp_path: Path) -> None:
    for arguments, words in (
        (["--origin", "http://a.example", "--no-nats"], "is for a server that is started here"),
        (["--origin", "a.example"], "'a.example' is no origin of a page"),
        (["--origin", "http://a.example/x"], "'http://a.example/x' is no origin of a page"),
    ):
        code, error = refused(tmp_path, *arguments)
        assert (code, words in error) == (2, True)


def test_works_without_a_server(start_app: StartApp) -> None:
    app = start_app("--no-nats", "--example", "hello")
    assert app.children() == []
    assert app.get("/config.json")["nats"] == "local://"
    assert app.get("/readyz")["status"] == "ok"


def test_the_environment_is_honoured_and_flags_win(
    start_app: StartApp, nats_server: NatsServer
) -> None:
    urls = {"NATS_URL": nats_server.url, "NATS_WEBSOCKET_URL": nats_server.websocket_url}
    app = start_app(AGENTS_LOG_LEVEL="error", **urls)
    assert app.get("/config.json")["nats"] == nats_server.websocket_url
    assert app.stop() == 0
    assert [line for line in app.lines if " is taken" not in line] == [f"open {app.url}"]
    assert start_app(AGENTS_LOG_LEVEL="", NATS_URL="", NATS_CREDS="").stop() == 0  # as if not set
    app = start_app("--no-nats", "--log-level", "info", AGENTS_LOG_LEVEL="error", **urls)
    assert app.get("/config.json")["nats"] == "local://"
    assert app.stop() == 0
    assert any("stopping" in line for line in app.lines)


def test_logs_json_without_secrets(start_app: StartApp, nats_server: NatsServer) -> None:
    url = nats_server.url.replace("nats://", "nats://user:hunter2@")
    app = start_app("--nats", url, "--example", "hello", "--log-format", "json")
    app.stop()
    records = [json.loads(line) for line in app.lines if line.startswith("{")]
    assert {"time", "level", "logger", "message"} == set(records[0])
    assert any(record["message"] == "greeter-server started" for record in records)
    assert "hunter2" not in "\n".join(app.lines)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--example", "nothing"], ["nothing", "hello, wordcount"]),
        (["--example", "wordcount", "--input", "missing.txt"], ["missing.txt"]),
        (["--nats", "gopher://x"], ["gopher", "nats, tls, ws, wss"]),
        (["--space", "a.b"], ["a.b", "A-Z a-z 0-9"]),
        (["--host", "192.0.2.1"], ["192.0.2.1"]),
        (["--host", "höst..x"], ["höst..x"]),
        (["--nats", "nats://127.0.0.1:1", "--nats-websocket", "http://x"], ["http", "wss"]),
        (["--nats", "ws://127.0.0.1:1", "--nats-websocket", "ws://x:99999"], ["ws://x:99999"]),
        (["--data", "/dev/null"], ["can't use /dev/null: "]),
        (["--data", "/proc/nope/x"], ["can't use /proc/nope"]),
    ],
)
def test_a_bad_start_ends_with_one_clear_line(
    tmp_path: Path, arguments: list[str], words: list[str]
) -> None:
    code, error = refused(tmp_path, "--log-level", "error", *arguments)
    assert code == 1
    assert error.startswith("agents: ")
    assert len(error.splitlines()) == 1
    assert all(word in error for word in words)


@pytest.mark.parametrize("name", ['a "b" c', r"a\b", "ü", os.fsdecode(b"\xff")])
def test_its_folder_may_have_any_name(start_app: StartApp, tmp_path: Path, name: str) -> None:
    app = start_app("--data", name, PYTHONUTF8="0", PYTHONCOERCECLOCALE="0", LC_ALL="C")
    assert app.get("/readyz")["status"] == "ok"
    assert (tmp_path / name / "nats" / "nats-server.conf").exists()


def test_what_is_in_the_way_of_the_nats_server_is_named(tmp_path: Path) -> None:
    (tmp_path / ".agents").mkdir()
    (tmp_path / ".agents" / "nats").write_text("a file", encoding="utf-8")
    code, error = refused(tmp_path)
    assert (code, error) == (1, "agents: can't use .agents/nats: File exists")


def test_no_port_is_above_the_last_one(tmp_path: Path) -> None:
    with occupied(65_535):
        code, error = refused(tmp_path, "--no-nats", "--port", "65535", "--log-level", "error")
    assert (code, error) == (1, "agents: http://127.0.0.1:65535: Address already in use")


def test_an_address_of_ipv6_is_in_brackets(start_app: StartApp) -> None:
    app = start_app("--no-nats", "--host", "::1", "--port", "0")
    assert app.url.startswith("http://[::1]:")
    assert app.get("/healthz") == {"status": "ok"}


def test_bad_flags_are_refused_with_the_usage(tmp_path: Path) -> None:
    for arguments in (
        ["--port", "70000"],
        ["--port", "abc"],
        ["--log-level", "loud"],
        ["--nats", "x", "--no-nats"],
        ["--nats-websocket", "ws://x", "--no-nats"],
        ["--input", "x"],
        ["--data", ""],
        ["--pages", ""],
    ):
        code, error = refused(tmp_path, *arguments)
        assert code == 2
        assert "usage:" in error
        assert "_port" not in error
    assert refused(tmp_path, AGENTS_LOG_LEVEL="loud")[0] == 1


def test_help_names_the_environment() -> None:
    command = [sys.executable, "-m", "agents_server", "up", "--help"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for name in (
        "NATS_URL",
        "NATS_CREDS",
        "NATS_WEBSOCKET_URL",
        "AGENTS_LOG_LEVEL",
        "--pyodide-url",
    ):
        assert name in text


def test_another_copy_of_pyodide_may_be_named(start_app: StartApp) -> None:
    app: App = start_app("--no-nats", "--pyodide-url", "https://cdn.example/pyodide/")
    assert app.get("/config.json")["pyodide"] == "https://cdn.example/pyodide/"
    policy = app.fetch("/")[1]["Content-Security-Policy"]
    assert "script-src 'self' 'wasm-unsafe-eval' https://cdn.example;" in policy


def test_serves_pages_of_ones_own(start_app: StartApp, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    (folder / "deep").mkdir(parents=True)
    for name in ("index.html", "deep/page.mjs", "deep/notes.md", ".secret.html", "table.csv"):
        (folder / name).write_text(f"<p>{name}</p>", encoding="utf-8")
    app = start_app("--no-nats", "--pages", str(folder))
    assert app.read_until(f"and {app.url}mine/")
    assert app.fetch("/mine/")[2] == app.fetch("/mine/index.html")[2] == b"<p>index.html</p>"
    status, headers, _ = app.fetch("/mine/deep/page.mjs")
    assert (status, headers["Content-Type"]) == (200, "text/javascript; charset=utf-8")
    assert "Content-Security-Policy" in headers
    (folder / "index.html").write_text("changed", encoding="utf-8")
    assert app.fetch("/mine/")[2] == b"changed"
    for path in ("/mine/deep/notes.md", "/mine/.secret.html", "/mine/table.csv", "/mine/../up.py"):
        assert app.fetch(path)[0] == 404
    assert "/mine/deep/page.mjs" in app.get("/config.json")["files"]
    assert (
        app.fetch("/mine?x=1")[2] == b"changed"
    )  # relative links need the slash, so it is a redirect


def test_pages_go_on_without_a_file_that_is_gone_and_find_new_ones(
    start_app: StartApp, tmp_path: Path
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in ("index.html", "old.css"):
        (folder / name).write_text(name, encoding="utf-8")
    (folder / "secret.txt").symlink_to(
        "/proc/self/mem"
    )  # a file that nobody can read from its start
    app = start_app("--no-nats", "--pages", str(folder))
    assert app.fetch("/mine/old.css")[0] == 200
    (folder / "old.css").rename(folder / "new.css")
    (folder / "deep").mkdir()
    (folder / "deep" / "index.html").write_text("deep", encoding="utf-8")
    assert app.fetch("/mine/old.css")[0] == app.fetch("/mine/secret.txt")[0] == 404
    assert app.fetch("/mine/new.css")[2] == b"old.css"
    assert app.fetch("/mine/deep/")[2] == b"deep"
    mine = {path for path in app.get("/config.json")["files"] if path.startswith("/mine/")}
    names = ("", "index.html", "new.css", "deep/", "deep/index.html")
    assert mine == {f"/mine/{name}" for name in names}
    (folder / "index.html").unlink()
    assert app.fetch("/mine/")[0] == 404
    assert "/" in app.get("/config.json")["files"]
    assert app.stop() == 0
    assert any("secret.txt is not served: Input/output error" in line for line in app.lines)


def test_pages_may_have_any_name_that_a_url_can_say(start_app: StartApp, tmp_path: Path) -> None:
    folder = tmp_path / "my #1"
    folder.mkdir()
    names = ["index.html", "a#b.txt", "c?d=é.txt", "50%25.txt", "e (f).txt"]
    for name in names:
        (folder / name).write_text(name, encoding="utf-8")
    (folder / os.fsdecode(b"\xff.txt")).write_text("no UTF-8", encoding="utf-8")
    app = start_app("--no-nats", "--pages", str(folder))
    assert app.read_until("and ")
    assert app.lines[-1] == f"and {app.url}my%20%231/"
    for name in names:
        assert app.fetch(f"/my%20%231/{quote(name)}")[2].decode() == name
    assert app.fetch("/my%20%231")[2] == b"index.html"
    tags = app.get("/config.json")["files"]
    mine = {path: tag for path, tag in tags.items() if path.startswith("/my%20%231/")}
    assert "/my%20%231/e%20(f).txt" in mine  # as a browser says it
    assert len(mine) == len(names) + 1
    for path, tag in mine.items():
        assert app.fetch(path)[1]["ETag"] == f'"{tag}"'
