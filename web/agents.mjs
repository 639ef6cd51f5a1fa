// The runtime for page authors: Python agents in a worker of this page.
//
//   const runtime = start({ config: await (await fetch("/config.json")).json() });
//   runtime.addEventListener("phase", ({ detail }) => console.log(detail.phase));
//   await runtime.running;
//   console.log(await runtime.ask("totals", { type: "report" }));
//
// Events, each with its data in `detail`:
//   phase    {phase}: loading, starting, connecting, spawning, running; then stopped or failed;
//            starting also has {from}: "snapshot", or "scratch" where there was none that worked
//   progress {phase, file, loaded, total}: bytes of one download; total 0 if the server keeps it back
//   status   {status, url, rtt, reconnects}: the connection to NATS; rtt in seconds, or null
//   nodes    [{node, host, version, bus, agents}]: all nodes, this tab's first
//   event    {node, agent, type, kind, reason, traceback, timestamp}: a start, a crash, …
//   failed   {phase, message, detail}: the runtime has ended; make a new one to try again
//
// Further runtimes of a page start faster: they share Pyodide's compiled code with the first.

const PATIENCE_S = 30; // a download on a bad connection shows some progress in that time
const TICK_MS = 1_000; // counted in ticks: a frozen page has none, and nothing to be blamed for
const SNAPSHOT_AFTER_MS = 3_000; // the agents' own start comes first

const modules = new Map(); // Pyodide's compiled code, by where it came from

/** An error that Python named: `name` is its class, `data` its fields. */
export class AgentError extends Error {
  constructor({ name, message, data = {} }) {
    super(message);
    this.name = name;
    this.data = data;
  }
}

/**
 * Start Python and the tab's agents.
 *
 * @param {object} options
 * @param {object | Promise<object>} options.config what `/config.json` of `agents up` says; as a
 *   promise, the worker starts while it is on its way
 * @param {string} [options.nats] connect there instead; "local://" for no server at all
 * @param {number} [options.patience] seconds that Python's start may go on without any progress,
 *   30 by default; then it has failed
 * @returns {Runtime}
 */
export const start = (options) => new Runtime(options);

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

  /** This tab's node, once it has a name. */
  node = null;
  /** Where the start is; see the event of that name. */
  phase = "loading";

  constructor({ config, nats, patience = PATIENCE_S }) {
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
    this.#guard = setInterval(() => this.#look(patience), TICK_MS);
    this.#begin(config, nats ?? null).catch((error) =>
      this.#fail({ phase: "loading", message: error.message, detail: error.stack }),
    );
  }

  async #begin(config, nats) {
    this.#config = await config;
    const module = modules.get(this.#config.pyodide);
    if (!this.#ended) this.#worker.postMessage({ config: this.#config, nats, module });
  }

  /** Send to an agent of any node and return its handler's reply. `timeout` is in seconds. */
  ask(agent, payload, { timeout = 5 } = {}) {
    return this.#call("ask", { agent, payload, timeout });
  }

  /** Send and do not wait for the handler; rejects if the message could not be sent. */
  tell(agent, payload) {
    return this.#call("tell", { agent, payload });
  }

  /** `stop` ends an agent in order, `kill` as a crash does, `info` returns its status. */
  control(agent, action) {
    return this.#call("control", { agent, action });
  }

  /**
   * Call `callback` with each JSON value published on `subject`, below the root of the space.
   *
   * @returns {() => void} ends it
   */
  subscribe(subject, callback) {
    const id = this.#lastId + 1; // the call's own id names the subscription
    this.#listeners.set(id, callback);
    this.#call("subscribe", { subject }).catch((error) => {
      if (this.#listeners.delete(id) && !this.#ended) console.error(`${subject}: ${error}`);
    });
    return () => {
      if (this.#listeners.delete(id) && !this.#ended) {
        this.#call("unsubscribe", { subscription: id }).catch(() => {}); // it has ended meanwhile
      }
    };
  }

  /** Stop the tab's agents in order, leave, and end the worker. */
  async stop() {
    if (this.#ended) return;
    try {
      if (this.phase === "running") await this.#call("stop", {});
    } finally {
      this.#end(new AgentError({ name: "Stopped", message: "the runtime was stopped" }));
      this.#enter({ phase: "stopped" });
    }
  }

  #post(message) {
    this.#worker.postMessage(JSON.stringify(message));
  }

  #call(method, fields) {
    const id = ++this.#lastId;
    if (this.#ended) return Promise.reject(this.#ended);
    return new Promise((resolve, reject) => {
      this.#calls.set(id, { resolve, reject });
      this.#post({ id, method, ...fields });
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
      default: // progress, status
        this.#emit(type, message);
    }
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  #enter(entered) {
    const { phase, from } = entered;
    if (phase === this.phase && phase === "stopped") return;
    this.phase = phase;
    if (phase === "connecting") clearInterval(this.#guard); // from here on Python tells itself
    if (from === "scratch") setTimeout(() => this.#haveSnapshotTaken(), SNAPSHOT_AFTER_MS);
    if (phase === "running") this.#settle.resolve();
    this.#emit("phase", entered);
  }

  // Pyodide's start may neither end nor fail, and a worker in an endless loop can't say so.
  #look(patience) {
    if (++this.#quietTicks <= patience) return;
    const message = `nothing happened for ${patience} s`;
    this.#fail({ phase: this.phase, message, detail: "" }, "Stalled");
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
    this.#worker.terminate();
    this.#settle.reject(error);
    for (const { reject } of this.#calls.values()) reject(error);
    this.#calls.clear();
    this.#listeners.clear();
  }
}
