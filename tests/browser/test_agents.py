"""`web/agents.mjs` as page authors use it, in a page that is nothing but a page."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import Page

from tests.browser.blank import RUNNING, run
from tests.browser.served import Served


def test_agents_of_a_text_answer(blank: Page) -> None:
    found = run(
        blank,
        f"""{RUNNING}
        const three = await runtime.spawn("shop:Counter", "three", {{
          args: [3], kwargs: {{ name: "tea" }}, restart: "transient", mailbox: 5, shutdown: 1,
          maxRestarts: 1, maxSeconds: 60, state: "memory",
        }});
        await counter.tell({{ type: "Add" }});
        await runtime.tell("counter", {{ type: "Add", n: 2 }});
        return [
          await counter.ask({{ type: "Add", n: 0 }}),
          await three.ask({{ type: "Add", n: 2 }}, {{ timeout: 1 }}),
          await runtime.agent("three").ask("name"),
          await runtime.ask("three", {{ type: "echo", value: {{ a: [1, null, "ü"], b: 2.5 }} }}),
          (await three.info()).type,
          [runtime.phase, runtime.node.startsWith("tab-"), three.id],
        ];""",
    )
    assert found == [
        3,
        6,
        "tea",
        {"a": [1, None, "ü"], "b": 2.5},
        "Counter",
        ["running", True, "three"],
    ]


def test_a_killed_agent_comes_back_with_its_state_and_a_stopped_one_does_not(blank: Page) -> None:
    found = run(
        blank,
        f"""{RUNNING}
        const kinds = [];
        runtime.addEventListener("event", ({{ detail }}) => kinds.push(detail.kind));
        await counter.ask({{ type: "Add", n: 5 }});
        await counter.kill();
        const kept = await counter.ask({{ type: "Add", n: 1 }});
        await counter.stop();
        const gone = await named(counter.ask("name"));
        return [kept, gone.name, kinds];""",
    )
    assert found == [6, "AgentNotFound", ["crashed", "restarted", "stopped"]]


def test_an_agent_in_a_worker_of_its_own_is_replaced_if_it_never_returns(blank: Page) -> None:
    found = run(
        blank,
        f"""{RUNNING}
        const slow = new Promise((resolve) => {{
          runtime.addEventListener("slow", ({{ detail }}) => {{
            if (detail.message !== "Add") resolve(detail); // which is, on a busy machine
          }});
        }});
        const options = {{ host: "worker", deadline: 60 }};
        const apart = await runtime.spawn("shop:Counter", "apart", options);
        await apart.ask({{ type: "Add", n: 2 }});
        await apart.ask({{ type: "busy", seconds: 0.1 }});
        const never = named(apart.ask({{ type: "busy", seconds: 3600 }}, {{ timeout: 60 }}));
        const meanwhile = await counter.ask({{ type: "Add", n: 1 }});
        const {{ agent, message }} = await slow;
        const {{ host }} = await counter.info();
        const {{ name }} = await never;
        return [meanwhile, name, await apart.ask({{ type: "Add" }}), agent, message, host];""",
    )
    assert found == [1, "RemoteError", 3, "apart", "busy", "inline"]


def test_what_a_text_says_wrongly_is_named_and_placed(blank: Page) -> None:
    found = run(
        blank,
        """
        const runtime = start();
        const errors = [
          await named(runtime.define("shop", "\\n\\nimport nothing_there\\n")),
          await named(runtime.define("shop", "class Counter(:\\n")),
          await named(runtime.define("json", "VALUE = 1")),
          await named(runtime.define("shop", "raise ValueError('\\\\ud800')\\n")),
        ];
        await runtime.define("shop", source);
        const twice = (call) => call().then(call);
        return [
          ...errors,
          await named(runtime.spawn("shop:Nobody", "a")),
          await named(runtime.spawn("nothing:Counter", "a")),
          await named(runtime.spawn("shop:NoAgent", "a")),
          await named(runtime.spawn("shop:Counter", "not an id")),
          await named(runtime.spawn("shop:Counter", "a", { kwargs: { wrong: 1 } })),
          await named(twice(() => runtime.spawn("shop:Counter", "a"))),
        ];""",
    )
    names = [error["name"] for error in found]
    assert names == ["InvalidModule"] * 6 + [
        "InvalidSpec", "InvalidAgentId", "RemoteError", "AgentExists",
    ]  # fmt: skip
    traceback = found[0]["data"]["traceback"].splitlines()
    assert traceback[1] == '  File "shop.py", line 3, in <module>'
    assert traceback[2].strip() == "import nothing_there"
    assert found[1]["data"]["traceback"].splitlines()[0].strip() == 'File "shop.py", line 1'
    assert "unexpected keyword argument 'wrong'" in found[8]["message"]
    assert found[3]["data"]["message"] == "\\ud800"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("undefined", "can't encode undefined at payload: give null for nothing"),
        ("{ a: [undefined] }", "can't encode undefined at payload.a[0]: give null for nothing"),
        ("{ a: () => 1 }", "can't encode a function at payload.a: it has no JSON form"),
        ("Symbol('s')", "can't encode a symbol at payload: it has no JSON form"),
        ("{ n: 10n }", "can't encode a BigInt at payload.n: make it a number or a text"),
        ("[1, NaN]", "can't encode NaN at payload[1]: JSON has no such number"),
        ("new Map()", "can't encode a Map at payload: make a plain object or an array of it"),
        ("new Uint8Array(3)", "a Uint8Array at payload: make a plain object or an array of it"),
        ("Promise.resolve(1)", "can't encode a Promise at payload: await it"),
        ("'\\ud800'", "can't encode a text at payload: it has half a surrogate pair"),
        ("(() => { const a = {}; a.b = [a]; return a; })()", "at payload.b[0]: it contains itself"),
        ("JSON.parse('['.repeat(65) + ']'.repeat(65))", "nested deeper than 64, near payload[0]"),
        ("'x'.repeat(2 ** 24)", "characters of JSON are more than 16777216"),
    ],
)
def test_what_can_not_be_sent_is_refused_with_its_place(
    blank: Page, value: str, message: str
) -> None:
    error = run(
        blank,
        f"""
        const runtime = start();
        const refused = await named(runtime.ask("nobody", {value}));
        await runtime.stop();
        return refused;""",
    )
    assert error["name"] == "EncodeError"
    assert message in error["message"]


def test_half_a_surrogate_pair_is_refused_wherever_it_stands(blank: Page) -> None:
    found = run(
        blank,
        """
        const runtime = start(), half = "\\ud800";
        const errors = [
          await named(runtime.spawn(`shop:${half}`, "a")),
          await named(runtime.publish(half, 1)),
          await named(runtime.subscribe(half, () => {})),
          await named(runtime.ask(half, 1)),
        ];
        await runtime.stop();
        return errors.map(({ name, data }) => `${name} at ${data.where}`);""",
    )
    assert found == [f"EncodeError at {where}" for where in ("path", "subject", "subject", "agent")]


def test_an_error_that_python_can_not_show_is_told_all_the_same(blank: Page) -> None:
    odd = 'getattr(1, "\\\\ud800")'
    found = run(
        blank,
        f"""
        const runtime = start();
        return [
          await named(runtime.define("odd", '{odd}')),
          await named(runtime.define("good", "")),
        ];""",
    )
    assert found[0]["name"] == "InvalidModule"
    assert "AttributeError: <no text: UnicodeEncodeError>" in found[0]["data"]["traceback"]
    assert found[1] == "no error"


def test_what_json_can_say_arrives_as_it_is(blank: Page) -> None:
    found = run(
        blank,
        f"""{RUNNING}
        const deep = JSON.parse("[".repeat(60) + "]".repeat(60));
        const values = [
          null, true, -0.5, 2 ** 60, "", "😀", [], {{}}, deep, {{ left: undefined, there: 1 }},
          new Date(0), Object.create(null), "x".repeat(2 ** 20),
        ];
        const same = [];
        for (const value of values) {{
          const back = await counter.ask({{ type: "echo", value }});
          same.push(JSON.stringify(back) === JSON.stringify(value));
        }}
        return same;""",
    )
    assert found == [True] * 13


REFUSED = {
    "start(null)": "options is an object, not null",
    "start({ nats: 4222 })": "nats is a text, not 4222",
    'start({ patience: "long" })': 'patience is a number of seconds above 0, not "long"',
    "start({ pingInterval: 0 })": "pingInterval is a number of seconds above 0, not 0",
    'start({ url: "/" })': "a member of options is one of config, nats, pingInterval, log, name, "
    'awake, patience, not "url"',
    'start({ name: "" })': 'name is a text, not ""',
    "start({ awake: 1 })": "awake is true or false, not 1",
    'start({ config: "config.json" })': 'config is an object, not "config.json"',
    'start({ log: "info" })': 'log is one of DEBUG, INFO, WARNING, ERROR, CRITICAL, not "info"',
    "runtime.agent()": "id is a text, not undefined",
    "runtime.ask()": "agent is a text, not undefined",
    "runtime.ask(new Map(), 1)": "agent is a text, not a Map",
    'runtime.ask("a", 1, { timeout: 0 })': "timeout is a number of seconds above 0, not 0",
    'runtime.ask("a", 1, null)': "options is an object, not null",
    'runtime.ask("a", 1, 5)': "options is an object, not 5",
    'runtime.tell("", 1)': 'agent is a text, not ""',
    'runtime.control("a", "restart")': 'action is one of stop, kill, info, not "restart"',
    'runtime.publish(Symbol("s"), 1)': "subject is a text, not Symbol(s)",
    'runtime.subscribe("a", "b")': 'callback is a function, not "b"',
    "runtime.subscribe(null, () => 1)": "subject is a text, not null",
    'runtime.define("a", () => 1)': "source is a text, not a function",
    "runtime.install(10n)": "what is a text, not 10",
    'runtime.install("https://")': 'what is a URL or a requirement, not "https://"',
    'runtime.spawn("Counter", "a")': 'path is "module:Class", not "Counter"',
    'runtime.spawn("a:A", "a", { args: "x" })': 'options.args is an array, not "x"',
    'runtime.spawn("a:A", "a", { kwargs: [] })': "options.kwargs is an object, not an Array",
    'runtime.spawn("a:A", "a", { mailbox: 0 })': "options.mailbox is a number, at least 1, not 0",
    'runtime.spawn("a:A", "a", { restart: "never" })': "options.restart is one of permanent, "
    'transient, temporary, not "never"',
    'runtime.spawn("a:A", "a", { max_restarts: 1 })': "a member of options is one of args, kwargs, "
    "restart, state, mailbox, shutdown, host, deadline, maxRestarts, maxSeconds, "
    'not "max_restarts"',
}


def test_arguments_that_can_not_be_meant_are_refused(blank: Page) -> None:
    calls = ", ".join(f"async () => {call}" for call in REFUSED)
    found = run(
        blank,
        f"""
        const runtime = start();
        const errors = [];
        for (const call of [{calls}]) errors.push(await named(call()));
        await runtime.stop();
        return errors;""",
    )
    assert [error["message"] for error in found] == list(REFUSED.values())
    assert {error["name"] for error in found} == {"InvalidArgument"}


def test_a_configuration_that_can_not_be_meant_fails_by_name(blank: Page) -> None:
    found = run(
        blank,
        """
        const files = { pyodide: "pyodide/", wheel: "agents_core-1-py3-none-any.whl" };
        const configs = [
          {},
          null,
          { ...files, nats: 5 },
          { ...files, space: "" },
          { ...files, log: "debug" },
          { ...files, files: null },
          { ...files, snapshot: true },
        ];
        const failed = (config) => named(start({ config: Promise.resolve(config) }).running);
        return [
          ...(await Promise.all(configs.map(failed))),
          await named(start({ config: Promise.reject("no network") }).running),
          await named(start({ config: Promise.reject() }).running),
        ];""",
    )
    assert [error["message"] for error in found] == [
        "config.pyodide is a text, not undefined",
        "config is an object, not null",
        "config.nats is a text, not 5",
        'config.space is a text, not ""',
        'config.log is one of DEBUG, INFO, WARNING, ERROR, CRITICAL, not "debug"',
        "config.files is an object, not null",
        "config.snapshot is a text, not true",
        "no network",
        "undefined",
    ]


def test_publishes_and_hears_what_is_published(blank: Page) -> None:
    found = run(
        blank,
        f"""{RUNNING}
        const heard = [];
        const end = await runtime.subscribe("shop.*", (value) => heard.push(value));
        await runtime.publish("shop.price", {{ tea: 3 }});
        await counter.ask({{ type: "publish", value: [1] }});
        end();
        await runtime.publish("shop.price", {{ tea: 4 }});
        await counter.ask("name");
        const errors = [runtime.subscribe("a..b", () => 1), runtime.publish("a b", 1)].map(named);
        return [heard, ...(await Promise.all(errors))];""",
    )
    assert found[0] == [{"tea": 3}, [1]]
    assert [error["name"] for error in found[1:]] == ["InvalidSubject", "InvalidSubject"]


def test_installs_wheels_by_url_and_by_name_with_what_they_need(blank: Page) -> None:
    found = run(
        blank,
        """
        const runtime = start();
        await runtime.install("teapot==1.0");
        const pot = await runtime.spawn("teapot:Counter", "pot");
        const cup = await runtime.spawn("tea:Counter", "cup");
        const other = start();
        await other.install("../wheels/tea-1.0-py3-none-any.whl");
        const tea = await other.spawn("tea:Counter", "cup");
        const answers = [];
        for (const agent of [pot, cup, tea]) answers.push(await agent.ask({ type: "Add", n: 2 }));
        return [answers, await named(other.install("nobody_has_this")),
          await named(other.install("/wheels/lonely-1.0-py3-none-any.whl")),
          await named(other.install("/wheels/missing-1.0-py3-none-any.whl"))];""",
    )
    assert found[0] == [2, 2, 2]
    assert [error["name"] for error in found[1:]] == ["InstallFailed"] * 3
    assert "nobody_has_this" in found[1]["message"]
    assert "nobody-has-this" in found[2]["message"].replace("_", "-")
    assert "a wheel that it does not have" in found[3]["message"]


def test_calls_under_way_end_with_the_runtime(blank: Page) -> None:
    found = run(
        blank,
        f"""{RUNNING}
        const phases = [];
        runtime.addEventListener("phase", ({{ detail }}) => phases.push(detail.phase));
        await runtime.stop();
        await runtime.stop();
        const calls = [counter.ask("name"), runtime.subscribe("a", () => 1)].map(named);
        return [phases, ...(await Promise.all(calls))];""",
    )
    assert found[0] == ["stopped"]
    assert [error["name"] for error in found[1:]] == ["Stopped", "Stopped"]


def test_a_second_stop_waits_for_the_first(blank: Page) -> None:
    found = run(
        blank,
        f"""{RUNNING}
        await runtime.define("slow", `
from asyncio import sleep
from agents_core import Agent
class Slow(Agent):
    async def on_stop(self, reason):
        await sleep(0.1)
`);
        for (const id of ["a", "b"]) await runtime.spawn("slow:Slow", id);
        const stopped = [];
        runtime.addEventListener("event", ({{ detail: {{ kind, agent }} }}) => {{
          if (kind === "stopped") stopped.push(agent);
        }});
        const stops = [runtime.stop(), runtime.stop()].map(named);
        const first = [await stops[1], [...stopped], runtime.phase];
        return [...first, await stops[0]];""",
    )
    assert found == ["no error", ["b", "a", "counter"], "stopped", "no error"]


FAILED = """
const failed = new Promise((resolve) => {
  runtime.addEventListener("failed", ({ detail }) => resolve(detail), { once: true });
});
"""
IMPATIENT = RUNNING.replace("start({", "start({ patience: 5,")


def test_a_python_that_no_longer_answers_is_ended_and_another_one_can_be_started(
    blank: Page,
) -> None:
    found = run(
        blank,
        f"""{IMPATIENT}{FAILED}
        await runtime.define("loop", `
from asyncio import sleep
from agents_core import Agent, on
class Endless(Agent):
    @on("go")
    async def go(self):
        await self.ctx.publish("looping", 1)
        await sleep(0.1)  # it is on its way
        while True:
            pass
`);
        const looping = new Promise((resolve) => runtime.subscribe("looping", resolve));
        const endless = await runtime.spawn("loop:Endless", "endless");
        const never = named(endless.ask("go", {{ timeout: 60 }}));
        await looping;
        const errors = await Promise.all([never, named(runtime.stop())]);
        const {{ phase, message }} = await failed;
        const late = await named(counter.ask("name"));
        const next = start();
        await next.define("shop", source);
        const other = await next.spawn("shop:Counter", "counter");
        return [phase, message, ...[...errors, late].map(({{ name }}) => name),
          runtime.phase, await other.ask("name")];""",
    )
    message = "nothing happened for 5 s"
    assert found == ["running", message, *["Stalled"] * 3, "failed", "counter"]


def test_a_python_that_is_quiet_or_busy_for_a_while_is_left_alone(blank: Page) -> None:
    found = run(
        blank,
        f"""{IMPATIENT}{FAILED}
        const ended = failed.then(() => "ended");
        const ticks = new Promise((resolve) => setTimeout(resolve, 10_000));
        const quiet = await Promise.race([ended, ticks.then(() => "quiet")]);
        await counter.ask({{ type: "busy", seconds: 2 }});
        return [quiet, runtime.phase, await counter.ask("name")];""",
    )
    assert found == ["quiet", "running", "counter"]


def test_calls_without_an_answer_are_bounded(blank: Page) -> None:
    found = run(
        blank,
        f"""{RUNNING}
        await runtime.define("wait", `
from asyncio import sleep
from agents_core import Agent, on
class Waiter(Agent):
    @on("wait")
    async def wait(self):
        await sleep(60)
`);
        const waiter = await runtime.spawn("wait:Waiter", "waiter", {{ mailbox: 5000 }});
        const asks = Array.from({{ length: 1100 }}, () => waiter.ask("wait"));
        const python = await named(Promise.race(asks));
        const waiting = start({{ config: new Promise(() => {{}}) }});
        for (let i = 0; i < 65_536; i++) waiting.tell("counter", "name").catch(() => {{}});
        const page = await named(waiting.tell("counter", "name"));
        await waiting.stop();
        Promise.allSettled(asks);
        await runtime.stop();
        return [python, page];""",
    )
    assert [error["name"] for error in found] == ["TooManyCalls", "TooManyCalls"]
    assert found[1]["data"] == {"limit": 65_536}


def test_a_python_that_has_failed_is_ended_at_once_and_for_no_other_error(blank: Page) -> None:
    found = run(
        blank,
        f"""{RUNNING}{FAILED}
        await runtime.define("odd", `
import ctypes
from asyncio import get_running_loop
from js import setTimeout
from pyodide.ffi import create_once_callable
from agents_core import Agent, on
class Odd(Agent):
    @on("twice")
    async def call_twice(self):
        once = create_once_callable(lambda: None)
        done = get_running_loop().create_future()
        for callback in (once, once, create_once_callable(lambda: done.set_result(None))):
            setTimeout(callback, 0)
        await done
    @on("fail")
    def fail(self):
        ctypes.string_at(0xFFFF_FFF0, 100)
`);
        for (const [id, host] of [["odd", "inline"], ["apart", "worker"]]) {{
          await runtime.spawn("odd:Odd", id, {{ host }});
          await runtime.ask(id, "twice");
          await runtime.ask(id, "twice");
        }}
        const restarts = (await runtime.agent("apart").info()).restarts;
        const apart = await named(runtime.ask("apart", "fail", {{ timeout: 60 }}));
        const rest = await counter.ask("name");
        const inline = await named(runtime.ask("odd", "fail", {{ timeout: 60 }}));
        return [restarts, apart.message, rest, inline.name, (await failed).message];""",
    )
    reason = "memory access out of bounds"
    killed = f"agent 'apart' raised Killed: {reason}"
    assert found == [0, killed, "counter", "Failed", reason]


def test_a_runtime_that_was_stopped_while_its_configuration_came_stays_stopped(blank: Page) -> None:
    found = run(
        blank,
        """
        let arrive;
        const config = new Promise((resolve) => (arrive = resolve));
        const runtime = start({ config, name: "kiosk" });
        const phases = [];
        runtime.addEventListener("phase", ({ detail }) => phases.push(detail.phase));
        await runtime.stop();
        arrive(await (await fetch("/config.json")).json());
        const next = start({ name: "kiosk" });
        await next.running;
        return [runtime.phase, phases, next.node];""",
    )
    assert found == ["stopped", ["stopped"], "kiosk"]


def test_messages_wait_for_a_handler_that_waits_for_a_promise(blank: Page) -> None:
    """By `run_sync`, which lets everybody else go on; a killed agent starts anew meanwhile."""
    found = run(
        blank,
        f"""{RUNNING}
        await runtime.define("sync", `
from asyncio import Event
from pyodide.ffi import run_sync
from agents_core import Agent, on
go = {{}}
class Sync(Agent):
    value = 0
    @on("add")
    def add(self, message):
        value = self.value
        if message["wait"]:
            go[self.id] = Event()
            self.ctx.node.publish_json(f"{{self.ctx.node.root}}.waits", self.id)
            run_sync(go[self.id].wait())
        self.value = value + 1
        return self.value
class Helper(Agent):
    @on("go")
    def go(self, message):
        go[message["id"]].set()
`);
        const add = (id, wait) => named(runtime.ask(id, {{ type: "add", wait }}));
        const value = (id) => runtime.ask(id, {{ type: "add", wait: false }});
        const helper = await runtime.spawn("sync:Helper", "helper");
        const release = (id) => helper.ask({{ type: "go", id }});
        let waits;
        await runtime.subscribe("waits", () => waits());
        const begin = (id) => {{
          const begun = new Promise((resolve) => (waits = resolve));
          const asked = add(id, true);
          return begun.then(() => [asked]);
        }};
        for (const id of ["a", "b"]) await runtime.spawn("sync:Sync", id);
        const [first] = await begin("a");
        const second = value("a");
        await release("a");
        const [killed] = await begin("b");
        await runtime.agent("b").kill();
        const anew = await value("b");
        await release("b");
        return [await first, await second, await value("a"),
          (await killed).name, anew, await value("b")];""",
    )
    assert found == ["no error", 2, 3, "RemoteError", 1, 2]


def test_an_exit_ends_the_tab_as_it_ends_a_process(blank: Page) -> None:
    found = run(
        blank,
        f"""{RUNNING}{FAILED}
        await runtime.define("leave", `
import sys
from agents_core import Agent, on
class Leaver(Agent):
    @on("leave")
    def leave(self):
        sys.exit(3)
`);
        const leaver = await runtime.spawn("leave:Leaver", "leaver");
        const asks = [leaver.ask("leave"), leaver.ask("leave"), counter.ask("name")].map(named);
        const errors = await Promise.all(asks);
        return [errors[0].name, errors[1].message, (await failed).message, runtime.phase];""",
    )
    assert found == ["Failed", "SystemExit: 3", "SystemExit: 3", "failed"]


def test_what_happens_to_the_page_is_told_when_there_are_too_many_calls(blank: Page) -> None:
    """And so is the end of a subscription, which would be heard for ever."""
    found = run(
        blank,
        f"""{RUNNING}
        await runtime.define("wait", `
from asyncio import sleep
from agents_core import Agent, on
from agents_core.errors import AgentsError
class Waiter(Agent):
    @on("wait")
    async def wait(self):
        await sleep(60)
class Teller(Agent):
    async def on_suspend(self, why):
        try:
            await self.ctx.node.request(f"{{self.ctx.node.root}}.heard")
        except AgentsError as error:
            await self.ctx.publish("told", [why, type(error).__name__])
`);
        const waiter = await runtime.spawn("wait:Waiter", "waiter", {{ mailbox: 5000 }});
        await runtime.spawn("wait:Teller", "teller");
        const unsubscribe = await runtime.subscribe("heard", () => {{}});
        const told = new Promise((resolve) => runtime.subscribe("told", resolve));
        const asks = Array.from({{ length: 1100 }}, () => waiter.ask("wait"));
        Promise.allSettled(asks);
        const refused = await named(Promise.race(asks));
        unsubscribe();
        document.dispatchEvent(new Event("freeze"));
        return [refused.name, await told];""",
    )
    assert found == ["TooManyCalls", ["frozen", "NoResponders"]]


def test_the_projects_own_page_uses_nothing_else(served_pages: Served) -> None:
    """Of the runtime; the service worker is the page's own affair."""
    pages = [path for path in served_pages.site.files if path == "/main.mjs" or "/views/" in path]
    assert len(pages) > 5
    used: set[str] = set()
    for path in pages:
        for line in served_pages.site.files[path].read_text(encoding="utf-8").splitlines():
            if line.startswith("import ") or " from " in line:
                used |= {json.loads(word.rstrip(";")) for word in line.split() if word[0] == '"'}
    assert {name for name in used if "/views/" not in name and name != "./dom.mjs"} == {
        "./agents.mjs",
        "./offline.mjs",
    }
