// The runtime for page authors: Python agents in a worker of this page. docs/page.md is its guide,
// agents.d.mts has every type.
//
//   const runtime = start();
//   await runtime.define("shop", "from agents_core import Agent, on …");
//   const counter = await runtime.spawn("shop:Counter", "counter-1");
//   console.log(await counter.ask({ type: "add", n: 2 }));
//
// Events, each with its data in `detail`:
//   phase    {phase}: loading, starting, connecting, spawning, running; then stopped or failed;
//            before them waiting, with a `name` that another tab may have; starting also has {from}: "snapshot", or "scratch" where there was none that worked
//   progress {phase, file, loaded, total}: bytes of one download; total 0 if the server keeps it back
//   status   {status, url, rtt, reconnects}: the connection to NATS; rtt in seconds, or null
//   nodes    [{node, host, version, bus, agents}]: all nodes, this tab's first
//   event    {node, agent, type, kind, reason, traceback, timestamp}: a start, a crash, …
//   slow     {agent, message, seconds, messages, awaited}: a handler of this tab took over 50 ms
//   failed   {phase, message, detail}: the runtime has ended; make a new one to try again
//
// Each phase of the start is a `performance.measure` of this page, each slow handler one of the worker.
// Further runtimes of a page start faster: they share Pyodide's compiled code with the first.

import * as check from "./checks.mjs";
import { AgentError, invalid } from "./errors.mjs";
import { encode } from "./jsonvalue.mjs";
import { Lifecycle } from "./lifecycle.mjs";

export { AgentError };

const PATIENCE_S = 30; // a download on a bad connection shows some progress in that time, Python any life
const TICK_MS = 1_000; // counted in ticks: a frozen page has none, and nothing to be blamed for
const ASK_S = 5; // as in Python
const CALLS_MAX = 65_536; // without an answer yet; what comes before Python runs waits among them
const NEVER_TOO_MANY = ["lifecycle", "stop", "unsubscribe"]; // said once: nobody would say it again
const SNAPSHOT_AFTER_MS = 3_000; // the agents' own start comes first
const HOSTS_END_MS = 100; // Chrome keeps all the memory of a worker that is ended while its own ones end

const STARTING = new Set(["loading", "starting", "connecting", "spawning"]);
const WATCHED = new Set(["loading", "starting", "running"]); // in between Python tells of itself

const modules = new Map(); // Pyodide's compiled code, by where it came from

/**
 * Start Python and the tab's agents.
 *
 * @param {object} [options]
 * @param {object | Promise<object>} [options.config] what `config.json` beside this file says, which is
 *   the default; as a promise, the worker starts while it is on its way
 * @param {string | null} [options.nats] connect there instead; "local://" for no server at all
 * @param {number} [options.pingInterval] seconds of silence after which the NATS server is asked
 *   whether it lives, 25 by default; without an answer for twice as long the connection is lost
 * @param {string} [options.log] the level from which on Python's log reaches the console
 * @param {string} [options.name] of the tab's node, a random one by default. Of all tabs that give
 *   the same name one has it at a time; the next one starts when that has ended
 * @param {boolean} [options.awake] keep the browser from freezing the page while its agents run and
 *   nobody looks at it, true by default; false where they can wait
 * @param {number} [options.patience] seconds that Python's start may go on without any progress, and
 *   that running agents may leave the page without an answer, 30 by default; then it has failed
 * @throws {AgentError} an `InvalidArgument`
 */
export const start = (options = {}) => new Runtime(options);

/** A handle to an agent of any node; it need not exist yet. */
class Agent {
  #runtime;

  constructor(runtime, id) {
    this.#runtime = runtime;
    /** Its name in the space. */
    this.id = id;
  }

  /** See `Runtime.ask`. */
  ask(payload, options) {
    return this.#runtime.ask(this.id, payload, options);
  }

  /** See `Runtime.tell`. */
  tell(payload) {
    return this.#runtime.tell(this.id, payload);
  }

  /** End it in order; it is not restarted. */
  stop() {
    return this.#runtime.control(this.id, "stop");
  }

  /** End it as a crash does; its supervisor decides what follows. */
  kill() {
    return this.#runtime.control(this.id, "kill");
  }

  /** Its type, state, mailbox, handled, restarts. */
  info() {
    return this.#runtime.control(this.id, "info");
  }
}

class Runtime extends EventTarget {
  #worker;
  #calls = new Map();
  #listeners = new Map();
  #lastId = 0;
  #ended = null;
  #settle;
  #config;
  #guard;
  #quietTicks = 0;
  #entered = performance.now();
  #lifecycle = null;
  #stopping = null;

  /** This tab's node, once it has a name. */
  node = null;
  /** Where the start is; see the event of that name. @type {import("./agents.mjs").Phase} */
  phase = "loading";

  constructor(options) {
    const { config = fetchConfig(), ...given } = check.startOptions(options);
    super();
    /** Resolves when the tab's agents run; rejects when the start fails. */
    this.running = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    this.running.catch(() => {}); // whoever cares awaits it, or listens to `failed`
    this.#worker = new Worker(new URL("./worker.mjs", import.meta.url), { type: "module" });
    this.#worker.addEventListener("message", ({ data }) => {
      if (typeof data === "string") this.#take(JSON.parse(data));
      else modules.set(this.#config.pyodide, data.module);
    });
    this.#worker.addEventListener("error", (event) => {
      event.preventDefault();
      this.#fail({ phase: this.phase, message: event.message ?? "the worker failed", detail: "" });
    });
    const { patience = PATIENCE_S } = given;
    this.#guard = setInterval(() => this.#look(patience), TICK_MS);
    this.#begin(config, given).catch((error) =>
      this.#fail({
        phase: "loading",
        message: String(error?.message ?? error),
        detail: String(error?.stack ?? error),
      }),
    );
  }

  async #begin(config, given) {
    const found = check.config(await config);
    if (this.#ended) return;
    this.#config = { ...found, nats: given.nats ?? found.nats, log: given.log ?? found.log };
    const { name = "", awake = true, pingInterval = null } = given;
    const tell = (event) => this.#call("lifecycle", { event }).catch(() => {}); // it has ended
    const lock = name && `agents-core node ${this.#config.space} ${name}`;
    this.#lifecycle = new Lifecycle({ name: lock, awake, tell });
    if (name) this.#enter({ phase: "waiting" });
    await this.#lifecycle.claim();
    if (this.#ended) return this.#lifecycle.end();
    this.#enter({ phase: "loading" });
    const module = modules.get(this.#config.pyodide);
    this.#worker.postMessage({ config: this.#config, name, pingInterval, module });
  }

  /**
   * Make a Python module of a text, for `spawn`, and for other modules to import. Made again, it
   * replaces the one before; agents that run go on with the class that they were started with.
   */
  async define(module, source) {
    const values = { module: check.text("module", module), source: check.string("source", source) };
    await this.#call("define", values);
  }

  /** Install a wheel: its URL, or a requirement such as "shop>=2", with what it needs. */
  async install(what) {
    await this.#call("install", { package: check.wheel(what) });
  }

  /**
   * Start an agent under a supervisor of its own; resolves when its `on_start` is done.
   *
   * @param {string} path of its class: "module:Class"
   * @param {string} id its name in the space
   * @param {object} [options] for the class: `args`, `kwargs`; and, as in Python, `restart`, `state`,
   *   `mailbox`, `shutdown`, `host`, `deadline`, `maxRestarts`, `maxSeconds`
   */
  async spawn(path, id, options = {}) {
    const agent = { path: check.path(path), agent: check.text("id", id) };
    await this.#call("spawn", { ...agent, ...check.spawnOptions(options) });
    return new Agent(this, id);
  }

  /** A handle to an agent of any node. */
  agent(id) {
    return new Agent(this, check.text("id", id));
  }

  /** Send to an agent of any node and return its handler's reply. `timeout` is in seconds. */
  async ask(agent, payload, options = {}) {
    const { timeout = ASK_S } = check.askOptions(options);
    return this.#call("ask", { agent: check.text("agent", agent), timeout, payload });
  }

  /** Send and do not wait for the handler; rejects if the message could not be sent. */
  async tell(agent, payload) {
    await this.#call("tell", { agent: check.text("agent", agent), payload });
  }

  /** `stop` ends an agent in order, `kill` as a crash does, `info` returns its status. */
  async control(agent, action) {
    const values = { agent: check.text("agent", agent), action: check.action(action) };
    return this.#call("control", values);
  }

  /** Publish a JSON value on `subject`, below the root of the space. */
  async publish(subject, value) {
    await this.#call("publish", { subject: check.text("subject", subject), value });
  }

  /**
   * Call `callback` with each JSON value published on `subject`, below the root of the space.
   *
   * @returns {Promise<() => void>} when the server knows of it; the function ends it
   */
  async subscribe(subject, callback) {
    check.text("subject", subject);
    if (typeof callback !== "function") throw invalid("callback", "a function", callback);
    const id = this.#lastId + 1; // the call's own id names the subscription
    this.#listeners.set(id, callback);
    try {
      await this.#call("subscribe", { subject });
    } catch (error) {
      this.#listeners.delete(id);
      throw error;
    }
    return () => {
      if (this.#listeners.delete(id) && !this.#ended) {
        this.#call("unsubscribe", { subscription: id }).catch(() => {}); // it has ended meanwhile
      }
    };
  }

  /** Stop the tab's agents in order, leave, and end the worker; rejects if it ended otherwise. */
  async stop() {
    this.#stopping ??= this.#stop();
    await this.#stopping;
  }

  async #stop() {
    if (this.#ended) return;
    try {
      if (this.phase === "running") {
        await this.#call("stop");
        await new Promise((goOn) => setTimeout(goOn, HOSTS_END_MS));
      }
    } finally {
      if (!this.#ended) {
        this.#end(new AgentError({ name: "Stopped", message: "the runtime was stopped" }));
        this.#enter({ phase: "stopped" });
      }
    }
  }

  #call(method, values = {}) {
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      if (this.#ended) throw this.#ended;
      if (this.#calls.size >= CALLS_MAX && !NEVER_TOO_MANY.includes(method)) throw tooMany();
      this.#worker.postMessage(encode({ id, method }, values));
      this.#calls.set(id, { resolve, reject });
    });
  }

  #take({ type, ...message }) {
    if (this.#ended) return;
    this.#quietTicks = 0;
    switch (type) {
      case "reply": {
        const call = this.#calls.get(message.id);
        this.#calls.delete(message.id);
        if (message.error) call?.reject(new AgentError(message.error));
        else call?.resolve(message.value);
        break;
      }
      case "message":
        this.#listeners.get(message.subscription)?.(message.value);
        break;
      case "phase":
        this.node = message.node ?? this.node;
        this.#enter(message);
        break;
      case "failed":
        this.#fail(message);
        break;
      case "nodes":
        this.#emit("nodes", message.nodes);
        break;
      case "event":
        this.#emit("event", message.event);
        break;
      default: // progress, slow, status
        this.#emit(type, message);
    }
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  #enter(entered) {
    const { phase, from } = entered;
    if (phase === this.phase && phase === "stopped") return;
    if (phase !== this.phase) this.#measure();
    this.phase = phase;
    if (from === "scratch") setTimeout(() => this.#haveSnapshotTaken(), SNAPSHOT_AFTER_MS);
    if (phase === "running") {
      this.#settle.resolve();
      this.#lifecycle.begin();
    }
    this.#emit("phase", entered);
  }

  #measure() {
    const [start, end] = [this.#entered, performance.now()];
    this.#entered = end;
    if (!STARTING.has(this.phase)) return;
    const devtools = { track: "start", trackGroup: "agents-core" };
    performance.measure(`agents-core: ${this.phase}`, { start, end, detail: { devtools } });
  }

  // Pyodide's start may neither end nor fail, and a worker that loops for ever, or is gone, can't say
  // so: when a running one has been quiet for half of the time, it is asked for a sign of life.
  #look(patience) {
    if (!WATCHED.has(this.phase)) return;
    const quiet = ++this.#quietTicks;
    if (this.phase === "running" && quiet === Math.ceil(patience / 2)) {
      this.#call("ping").catch(() => {}); // any answer is one
    } else if (quiet > patience) {
      const message = `nothing happened for ${patience} s`;
      this.#fail({ phase: this.phase, message, detail: "" }, "Stalled");
    }
  }

  // Where the server has no snapshot to offer, this browser takes one of its own for the next time.
  #haveSnapshotTaken() {
    const { snapshot, files } = this.#config;
    if (this.#ended || !snapshot || !self.caches || snapshot in files) return;
    const url = new URL("./snapshot_worker.mjs", import.meta.url);
    new Worker(url, { type: "module" }).postMessage({ config: this.#config });
  }

  #fail(failure, name = "Failed") {
    if (this.#ended) return;
    this.#end(new AgentError({ name, message: failure.message, data: failure }));
    this.#enter({ phase: "failed" });
    this.#emit("failed", failure);
  }

  #end(error) {
    this.#ended = error;
    clearInterval(this.#guard);
    this.#lifecycle?.end();
    this.#worker.terminate();
    this.#settle.reject(error);
    for (const { reject } of this.#calls.values()) reject(error);
    this.#calls.clear();
    this.#listeners.clear();
  }
}

function tooMany() {
  const message = `more than ${CALLS_MAX} calls have no answer yet`;
  return new AgentError({ name: "TooManyCalls", message, data: { limit: CALLS_MAX } });
}

/** What `config.json` says, but for the example: that is for the project's own page. */
async function fetchConfig() {
  const url = new URL("config.json", import.meta.url);
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: the server answered ${response.status}`);
  const { example, ...config } = await response.json();
  return config;
}
