"""Our client and nats.js in the same worker of a browser, over a real nats-server."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import Page

from agents_server.nats_server import NatsServer
from tests.browser.tab import run_python
from tests.interop.cases import CASES

ROOT = Path(__file__).parents[2]
INTEROP = ROOT / "tests" / "interop"
PYTHON = """
import asyncio, json, traceback
import nats_js
from agents_core import nats
from tests.interop.cases import CASES

class NatsJs:
    def __init__(self, client):
        self.client = client

    async def run(self, code, **more):
        return json.loads(await self.client.run(code, json.dumps(more)))

url, passed, failed = values["url"], [], {}
for case in CASES:
    nc, js = await nats.connect(url), await nats_js.open(url)
    try:
        async with asyncio.timeout(20):
            await case(nc, NatsJs(js))
        passed.append(case.__name__)
    except Exception:
        failed[case.__name__] = traceback.format_exc()
    finally:
        await nc.close()
        await js.close()
json.dumps([passed, failed])
"""


@pytest.fixture(scope="session")
def bundle() -> bytes:
    """nats.js as one module: its packages on npm have no ES modules."""
    esbuild = INTEROP / "node_modules" / ".bin" / "esbuild"
    assert esbuild.exists(), "nats.js is not installed: run `make test`"
    flags = ["--bundle", "--format=esm", "--external:node:crypto"]  # which it can do without
    command = [str(esbuild), str(INTEROP / "browser.mjs"), *flags]
    return subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout


@pytest.mark.nats
def test_both_ways_in_one_worker(
    page: Page, wheel: Path, pyodide: Path, bundle: bytes, nats_server: NatsServer
) -> None:
    passed, failed = run_python(
        page,
        PYTHON,
        wheel=wheel,
        pyodide=pyodide,
        files={
            str(path.relative_to(ROOT)): path.read_bytes()
            for path in (INTEROP / "cases").glob("*.py")
        },
        modules={"nats_js": bundle},
        values={"url": nats_server.websocket_url},
    )
    assert not failed, "\n\n".join(f"{name}\n{text}" for name, text in failed.items())
    assert passed == [case.__name__ for case in CASES]
