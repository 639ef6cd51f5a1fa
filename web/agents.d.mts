/** Types of agents.mjs. TypeScript finds them beside it, by this name. */

/** What crosses between JavaScript and Python. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };

/**
 * What can be sent: JSON, objects with `toJSON` such as dates, and members that are `undefined`, which
 * are left out. What else can't be encoded is refused by an `EncodeError`.
 */
export type Sendable =
  | null
  | boolean
  | number
  | string
  | { toJSON(): unknown }
  | readonly Sendable[]
  | { readonly [name: string]: Sendable | undefined };

/** The names that an error of this module can have; agents may raise others inside a `RemoteError`. */
export type ErrorName =
  // of the runtime
  | "InvalidArgument"
  | "Failed"
  | "Stalled"
  | "Stopped"
  | "TooManyCalls"
  // of agents_core.errors
  | "AgentExists"
  | "AgentNotFound"
  | "AgentStopped"
  | "AskTimeout"
  | "ConnectionClosed"
  | "EncodeError"
  | "HostFull"
  | "HostLost"
  | "InstallFailed"
  | "InvalidAgentId"
  | "InvalidMessage"
  | "InvalidModule"
  | "InvalidSpec"
  | "InvalidSubject"
  | "MailboxFull"
  | "MaxPayloadExceeded"
  | "NotConnected"
  | "OutboundBufferFull"
  | "PermissionsViolation"
  | "RemoteError"
  | "UnhandledMessage"
  | "Unsupported";

/** What every rejection of this module is. */
export class AgentError extends Error {
  constructor(error: { name: string; message: string; data?: Record<string, unknown> });
  /** The class of Python's error, or one of the runtime's own names. */
  name: ErrorName | (string & {});
  /** Its fields: `traceback` of a `RemoteError` or an `InvalidModule`, `limit` of a `MailboxFull`, … */
  data: Record<string, unknown>;
}

/** Where the files are, and what to connect to. Relative URLs begin at agents.mjs. */
export interface Config {
  /** The folder of Pyodide's files, with a slash at its end. */
  pyodide: string;
  /** The wheel of agents-core. */
  wheel: string;
  /** A NATS server's WebSocket, or "local://", which is the default. */
  nats?: string;
  /** Nodes of one space see one another; "default" by default. */
  space?: string;
  /** A package index for `install` of names (PEP 503 or 691); PyPI by default. */
  index?: string;
  /** A memory snapshot of Pyodide with this wheel; see docs/boot.md. */
  snapshot?: string | null;
  /** The files of the server by their paths, each with a tag of its content. */
  files?: Record<string, string>;
  /** As `log` of `start`. */
  log?: LogLevel;
  /** What else config.json has is the server's and its page's. */
  [more: string]: unknown;
}

export type LogLevel = "DEBUG" | "INFO" | "WARNING" | "ERROR" | "CRITICAL";

export interface StartOptions {
  /** By default what `config.json` beside agents.mjs says. */
  config?: Config | Promise<Config>;
  /** Connect there, and not to the configuration's server. */
  nats?: string | null;
  /**
   * Seconds of silence after which the NATS server is asked whether it lives, 25 by default; without an
   * answer for twice as long the connection is lost.
   */
  pingInterval?: number;
  /** Python's log reaches the console from this level on; "INFO" by default. */
  log?: LogLevel;
  /** Of the tab's node, a random one by default. Of all tabs with the same name one has it at a time. */
  name?: string;
  /** Keep the browser from freezing the page while its agents run and nobody looks; true by default. */
  awake?: boolean;
  /**
   * Seconds that Python's start may go on without any progress, and that running agents may leave the
   * page without an answer, before the runtime has failed; 30 by default.
   */
  patience?: number;
}

/** Start Python and its agents in a worker; throws an `InvalidArgument`. */
export function start(options?: StartOptions): Runtime;

export interface SpawnOptions {
  /** For the class, at each start. */
  args?: readonly Sendable[];
  /** For the class, by name. */
  kwargs?: { readonly [name: string]: Sendable | undefined };
  /** When it ends: always start it again, the default; unless it ended in order; never. */
  restart?: "permanent" | "transient" | "temporary";
  /** Where its state is kept: "memory". */
  state?: string;
  /** Messages that may wait; 1000 by default. */
  mailbox?: number;
  /** Seconds to end in order before it is killed; 5 by default. */
  shutdown?: number;
  /**
   * `inline`, the default: with this tab's other agents. `worker`: in a worker of its own, which can be
   * ended whatever it does. Or the name of one that several agents share. See docs/hosts.md.
   */
  host?: string;
  /** Seconds that the handling of one message may await before the agent is killed; no bound by default. */
  deadline?: number;
  /** Restarts allowed in `maxSeconds`, 3 by default; with one more it is given up. */
  maxRestarts?: number;
  /** 5 by default. */
  maxSeconds?: number;
}

export type Phase = "waiting" | "loading" | "starting" | "connecting" | "spawning" | "running" | "stopped" | "failed";

export interface PhaseDetail {
  phase: Phase;
  /** With `starting`: what Python starts from. */
  from?: "snapshot" | "scratch";
  /** With `spawning` and `running`: the name of this tab's node. */
  node?: string;
}

export interface ProgressDetail {
  phase: "loading";
  file: string;
  loaded: number;
  /** 0 if the server keeps it back. */
  total: number;
}

export interface StatusDetail {
  status: "connecting" | "connected" | "reconnecting" | "draining" | "closed";
  url: string;
  /** Seconds; null while it is not known. */
  rtt: number | null;
  reconnects: number;
}

export interface AgentInfo {
  id: string;
  type: string;
  state: string;
  /** Messages that wait. */
  mailbox: number;
  handled: number;
  restarts: number;
  supervisor: string;
  /** `inline`, or the name of the worker or process that it runs in. */
  host: string;
}

export interface NodeInfo {
  node: string;
  host: "browser" | "server";
  version: string;
  bus: { url: string; status: string; reconnects: number };
  agents: AgentInfo[];
}

export interface AgentEvent {
  node: string;
  agent: string;
  /** Its class. */
  type: string;
  kind: "started" | "stopped" | "crashed" | "restarted" | "gave_up" | "unhandled";
  /** null for a first start. */
  reason: { kind: "normal" | "shutdown" | "killed" | "error"; type: string; message: string } | null;
  /** Empty where there is none. */
  traceback: string;
  /** Seconds since 1970. */
  timestamp: number;
}

export interface SlowDetail {
  agent: string;
  message: string;
  seconds: number;
  /** More than 1: so many in a row, of which `message` is the last. */
  messages: number;
  /** Whether it may have waited, and others went on meanwhile. */
  awaited: boolean;
}

export interface FailedDetail {
  phase: Phase;
  message: string;
  /** A traceback, or a stack. */
  detail: string;
}

export interface RuntimeEvents {
  phase: CustomEvent<PhaseDetail>;
  progress: CustomEvent<ProgressDetail>;
  status: CustomEvent<StatusDetail>;
  nodes: CustomEvent<NodeInfo[]>;
  event: CustomEvent<AgentEvent>;
  slow: CustomEvent<SlowDetail>;
  failed: CustomEvent<FailedDetail>;
}

/** Python in a worker of this page. What is called before it runs waits for that. */
export interface Runtime extends EventTarget {
  /** Resolves when the tab's agents run; rejects when the start fails. */
  readonly running: Promise<void>;
  readonly phase: Phase;
  /** The name of this tab's node, once it has one. */
  readonly node: string | null;

  /** Make a Python module of a text; throws an `InvalidModule` with the traceback in its `data`. */
  define(module: string, source: string): Promise<void>;
  /** Install a wheel, by URL or as a requirement such as "shop>=2", with what it needs. */
  install(what: string): Promise<void>;
  /** Start an agent of the class "module:Class"; resolves when its `on_start` is done. */
  spawn(path: `${string}:${string}`, id: string, options?: SpawnOptions): Promise<Agent>;
  /** A handle to an agent of any node; it need not exist yet. */
  agent(id: string): Agent;

  /** Send to an agent of any node and return its handler's reply; `timeout` is in seconds, 5 by default. */
  ask<Reply = Json>(agent: string, payload: Sendable, options?: { timeout?: number }): Promise<Reply>;
  /** Send and do not wait for the handler; rejects if the message could not be sent. */
  tell(agent: string, payload: Sendable): Promise<void>;
  /** End an agent in order, or as a crash does, or get its status. */
  control(agent: string, action: "stop" | "kill"): Promise<null>;
  control(agent: string, action: "info"): Promise<AgentInfo>;

  /** Publish a JSON value on a subject, below the root of the space. */
  publish(subject: string, value: Sendable): Promise<void>;
  /** Call `callback` with each JSON value published on a subject; the function that it gives ends it. */
  subscribe(subject: string, callback: (value: Json) => void): Promise<() => void>;

  /** Stop the tab's agents in order, leave, and end the worker. */
  stop(): Promise<void>;

  addEventListener<Type extends keyof RuntimeEvents>(
    type: Type,
    listener: (event: RuntimeEvents[Type]) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
  removeEventListener<Type extends keyof RuntimeEvents>(
    type: Type,
    listener: (event: RuntimeEvents[Type]) => void,
    options?: boolean | EventListenerOptions,
  ): void;
  removeEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | EventListenerOptions,
  ): void;
}

/** A handle to one agent; it stays valid over restarts and moves. */
export interface Agent {
  readonly id: string;
  ask<Reply = Json>(payload: Sendable, options?: { timeout?: number }): Promise<Reply>;
  tell(payload: Sendable): Promise<void>;
  /** End it in order; it is not restarted. */
  stop(): Promise<null>;
  /** End it as a crash does; its supervisor decides what follows. */
  kill(): Promise<null>;
  info(): Promise<AgentInfo>;
}
