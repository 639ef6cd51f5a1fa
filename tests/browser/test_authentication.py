"""Credentials in a real tab: WebCrypto signs, the browser sends cookies, and what it can't do."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from playwright.sync_api import Browser, BrowserType, Page

from agents_core.nats.nkeys import Seed
from agents_server.nats_server import NatsServer, free_port
from agents_server.nkeys import Key
from tests.browser import chromium
from tests.browser.site import Content, serve
from tests.issuer import Operator

pytestmark = pytest.mark.nats

Run: TypeAlias = "Callable[..., Any]"

POLICY = (
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self' ws:; "
    "worker-src 'self'; object-src 'none'; base-uri 'none'"
)
PAGE = f"""<!doctype html><title>credentials</title>
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<script type="module" src="/page.mjs"></script>"""
SCRIPT = b"""
const worker = new Worker("/worker.mjs", { type: "module" });
window.run = (order) => new Promise((resolve, reject) => {
  worker.onmessage = ({ data }) => data.error ? reject(new Error(data.error)) : resolve(data.value);
  worker.postMessage(order);
});
document.documentElement.dataset.ready = "yes";
"""
WORKER = b"""
import { loadPyodide } from "/pyodide/pyodide.mjs";
let booting;
addEventListener("message", async ({ data: { wheel, source, given } }) => {
  try {
    const python = await (booting ??= loadPyodide({ packages: [wheel] }));
    python.globals.set("given", given);
    const value = await python.runPythonAsync(source);
    postMessage({ value: value?.toJs?.() ?? value });
  } catch (error) {
    postMessage({ error: String(error) });
  }
});
"""
"""Runs Python in a worker, as the page of `agents up` does."""


@pytest.fixture(scope="session")
def content(wheel: Path, pyodide: Path) -> Content:
    return {
        "/index.html": PAGE.encode(),
        "/page.mjs": SCRIPT,
        "/worker.mjs": WORKER,
        f"/{wheel.name}": wheel,
        **{f"/pyodide/{path.name}": path for path in pyodide.iterdir()},
    }


@pytest.fixture
def site(content: Content) -> Iterator[str]:
    with serve(content) as url:
        yield url


class Tab:
    """A page whose worker runs Python."""

    def __init__(self, page: Page, url: str, content: Content) -> None:
        self._page = page
        self._wheel = next(url + path for path in content if path.endswith(".whl"))
        self.url = url
        self.open()

    def open(self) -> None:
        """Open the page, or open it again."""
        self._page.goto(f"{self.url}/index.html")
        self._page.locator("html[data-ready]").wait_for(state="attached")

    def run(self, source: str, **given: object) -> Any:
        """What the last line of a source is; `given` is there as a dictionary."""
        source = f"import json; given = json.loads(given)\n{source}"
        order = {"wheel": self._wheel, "source": source, "given": json.dumps(given)}
        return self._page.evaluate("(order) => window.run(order)", order)


@pytest.fixture
def tab(page: Page, site: str, content: Content) -> Tab:
    return Tab(page, site, content)


@contextmanager
def running(folder: Path, rules: str, websocket: str = "") -> Iterator[NatsServer]:
    port = free_port()
    if websocket:
        listen = f'listen: "127.0.0.1:{port}", no_tls: true'
        rules = f"{rules}\nwebsocket {{ {listen}, {websocket} }}\n"
    server = NatsServer(folder, websocket_port=port, extra=rules)
    server.start()
    try:
        yield server
    finally:
        server.stop()


PRELUDE = """
import asyncio
from agents_core import nats
from agents_core.errors import AgentsError

async def works(**options):
    '''Whether a message comes back; else the name of the error.'''
    try:
        nc = await nats.connect(given["url"], **options)
    except AgentsError as error:
        return f"{type(error).__name__}: {error}"
    subscription = await nc.subscribe("there.and.back")
    nc.publish("there.and.back", b"x")
    data = (await subscription.next_msg(5)).data
    await nc.close()
    return data.decode()

"""


def test_nkeys_and_jwts(tab: Tab, tmp_path: Path) -> None:
    operator = Operator()
    user, other = operator.account.user(), operator.account.user()
    source = (
        PRELUDE
        + """
async def creds():
    await asyncio.sleep(0)
    return given["creds"]

[
    await works(user_credentials=given["creds"]),
    await works(user_credentials=creds),
    await works(user_jwt_cb=lambda: given["jwt"], nkeys_seed_str=given["seed"]),
    await works(user_jwt_cb=lambda: given["jwt"], nkeys_seed_str=given["other"]),
    await works(),
]
"""
    )
    with running(tmp_path / "operator", operator.config()) as server:
        given = {"creds": user.creds, "jwt": user.jwt, "seed": user.seed, "other": other.seed}
        refused = "AuthorizationError: server: Authorization Violation"
        answer = tab.run(source + "", url=server.websocket_url, **given)
        assert answer == ["x", "x", "x", refused, refused]
    seed = Seed(bytes(range(32)))
    rules = f"authorization {{ users: [ {{ nkey: {Key(seed).public_key} }} ] }}"
    with running(tmp_path / "nkey", rules) as server:
        source = PRELUDE + 'await works(nkeys_seed_str=given["seed"])'
        assert tab.run(source, url=server.websocket_url, seed=seed.encode()) == "x"


def test_credentials_that_expire_are_fetched_again(tab: Tab, tmp_path: Path) -> None:
    operator = Operator()
    source = (
        PRELUDE
        + """
asked, back = [], asyncio.Event()

async def creds():
    asked.append(given["creds"][len(asked)])
    return asked[-1]

nc = await nats.connect(given["url"], user_credentials=creds, reconnected_cb=back.set)
subscription = await nc.subscribe("kept")
await back.wait()
nc.publish("kept", b"again")
data = (await subscription.next_msg(5)).data.decode()
await nc.close()
f"{data} {len(asked)}"
"""
    )
    with running(tmp_path, operator.config()) as server:
        tab.run("0")  # booted, before the time begins to run
        users = [operator.account.user(seconds=4), operator.account.user()]
        creds = [user.creds for user in users]
        assert tab.run(source, url=server.websocket_url, creds=creds) == "again 2"


KEYS = (
    PRELUDE
    + """
import js
from agents_browser.nkeys import Key
from pyodide.ffi import JsException, to_js

async def readable(key):
    try:
        await js.crypto.subtle.exportKey("pkcs8", key._private)
    except JsException as error:
        return error.name
    return "readable"

"""
)


def test_keys_that_nobody_can_read(tab: Tab, tmp_path: Path) -> None:
    """A key made in the tab, for which an account signs a JWT; the private half never leaves."""
    operator = Operator()
    keys = tab.run(
        KEYS
        + """
keys = [
    await Key.generate(),
    *await asyncio.gather(Key.kept(), Key.kept(), Key.kept("other")),
    await Key.of(await js.crypto.subtle.generateKey("Ed25519", False, to_js(["sign", "verify"]))),
]
[[key.public_key, await readable(key)] for key in keys]
"""
    )
    assert [text for _, text in keys] == ["InvalidAccessError"] * 5
    publics = [public for public, _ in keys]
    assert publics[1] == publics[2]
    assert len(set(publics)) == 4
    with running(tmp_path, operator.config()) as server:
        given = {"url": server.websocket_url}
        jwts = [operator.account.user_jwt(public) for public in publics]
        answers = tab.run(
            KEYS
            + """
[await works(signer=key, user_jwt_cb=lambda: jwt) for key, jwt in zip(keys, given["jwts"])]
""",
            jwts=jwts,
            **given,
        )
        assert answers == ["x"] * 5
        tab.open()
        answer = tab.run(
            KEYS
            + """
key = await Key.kept()
f'{key.public_key} {await works(signer=key, user_jwt_cb=lambda: given["jwt"])}'
""",
            jwt=jwts[1],
            **given,
        )
        assert answer == f"{publics[1]} x"


def test_a_key_that_nobody_waits_for_any_more(tab: Tab) -> None:
    """What IndexedDB still says about it reaches nobody, and it leaves no database open."""
    complaints = tab.run(
        KEYS
        + """
from agents_browser.nkeys import DATABASE, _request
from pyodide.ffi import create_proxy

complaints = []
listener = create_proxy(lambda event: complaints.append(event.message))
js.addEventListener("error", listener)
for database_is_there in (False, True):
    waiting = asyncio.create_task(Key.kept())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    await Key.kept()
await _request(js.indexedDB.deleteDatabase(DATABASE))  # raises if it is blocked
js.removeEventListener("error", listener)
complaints
"""
    )
    assert complaints == []


def test_cookies(tab: Tab, page: Page, tmp_path: Path) -> None:
    """Cookies know hosts, not ports: what the page's server sets, the NATS server gets."""
    operator = Operator()
    jwt = operator.account.user(bearer_token=True).jwt
    source = PRELUDE + "await works()"
    for name, rules, websocket, cookies in (
        ("jwt", operator.config(), "jwt_cookie: j", {"j": jwt}),
        ("token", "authorization { token: right }", "token_cookie: t", {"t": "right"}),
        (
            "user",
            "authorization { user: ada, password: right }",
            "user_cookie: u, pass_cookie: p",
            {"u": "ada", "p": "right"},
        ),
    ):
        with running(tmp_path / name, rules, websocket) as server:
            page.context.clear_cookies()
            refused = "AuthorizationError: server: Authorization Violation"
            assert tab.run(source, url=server.websocket_url) == refused
            common = {"url": tab.url, "httpOnly": True, "sameSite": "Strict"}
            page.context.add_cookies(
                [{"name": key, "value": value, **common} for key, value in cookies.items()]
            )
            assert tab.run(source, url=server.websocket_url) == "x"


REFUSED = """
async def refused(*makers):
    found = []
    for make in makers:
        try:
            await make()
        except AgentsError as error:
            found.append(f"{type(error).__name__}: {error}")
    return found

"""


def test_what_a_browser_can_not_do(tab: Tab, nats_server: NatsServer) -> None:
    source = (
        PRELUDE
        + """
[
    await works(user_credentials="user.creds"),
    await works(ws_connection_headers={"Cookie": "a=b"}),
    await works(tls_hostname="nats.example"),
]
"""
    )
    for answer in tab.run(source, url=nats_server.websocket_url):
        assert answer.startswith("Unsupported: ")
        assert "browser" in answer


def test_a_browser_that_lacks_something(tab: Tab, nats_server: NatsServer) -> None:
    source = (
        KEYS
        + REFUSED
        + """
from agents_browser import nkeys
nkeys.ALGORITHM = "Ed999"
old = await refused(Key.generate, Key.kept)
old.append(await works(nkeys_seed_str=given["seed"]))
nkeys.STORE = "none"
curve = to_js({"name": "ECDSA", "namedCurve": "P-256"})
pair = await js.crypto.subtle.generateKey(curve, False, to_js(["sign", "verify"]))
[*old, *await refused(Key.kept, lambda: Key.of(pair))]
"""
    )
    seed = Seed(bytes(32)).encode()
    *old, private, other = tab.run(source, url=nats_server.websocket_url, seed=seed)
    assert len(old) == 3
    for answer in old:
        assert answer.startswith("Unsupported: Ed25519 in this browser (NotSupportedError)")
        assert "Chrome 137" in answer
    assert other == "InvalidCredentials: credentials: a CryptoKeyPair is not of Ed999"
    assert private == "StorageError: state in IndexedDB: NotFoundError"


def test_a_page_without_a_secure_context(
    browser_type: BrowserType, site: str, content: Content, nats_server: NatsServer
) -> None:
    """Plain http from another machine: the browser keeps WebCrypto to itself."""
    rule = "--host-resolver-rules=MAP lan.example 127.0.0.1"
    arguments = [*chromium.ARGUMENTS, rule]
    browser: Browser = browser_type.launch(executable_path=chromium.executable(), args=arguments)
    try:
        tab = Tab(browser.new_page(), site.replace("127.0.0.1", "lan.example"), content)
        source = (
            KEYS
            + REFUSED
            + """
answers = await refused(Key.generate, Key.kept)
[*answers, await works(nkeys_seed_str=given["seed"]), await works(token="t")]
"""
        )
        url = nats_server.websocket_url.replace("127.0.0.1", "lan.example")
        *refused, token = tab.run(source, url=url, seed=Seed(bytes(32)).encode())
    finally:
        browser.close()
    assert token == "x"
    assert len(refused) == 3
    for answer in refused:
        assert answer.startswith("Unsupported: ")
        assert "https://" in answer
