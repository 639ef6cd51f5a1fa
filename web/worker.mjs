// Boots Python in a worker and hands it the line to the page. Both ways of the line carry JSON text.
//
// The page sends {type: "start", config, nats} first; everything after it is for Python
// (`agents_browser.tab`) and waits until Python is there.

import { share } from "./pump.mjs";

const send = (type, fields = {}) => postMessage(JSON.stringify({ type, ...fields }));

const waiting = [];
let receive = (text) => waiting.push(text);
let phase = "loading";

addEventListener("message", ({ data }) => {
  const message = JSON.parse(data);
  if (message.type === "start") {
    boot(message).catch(fail);
  } else {
    receive(data);
  }
});

// Emscripten swallows some failures of a boot: its promise then never settles, but these events come.
addEventListener("error", (event) => phase !== "running" && fail(event.error ?? event.message));
addEventListener("unhandledrejection", (event) => phase !== "running" && fail(event.reason));

function enter(name) {
  phase = name;
  send("phase", { phase });
}

function fail(error) {
  if (phase === "failed") return;
  const detail = String(error?.stack ?? error);
  send("failed", { phase, message: lastLine(error), detail });
  phase = "failed";
}

// The message of a Python error is its whole traceback; its last line says what is wrong.
function lastLine(error) {
  const lines = String(error?.message ?? error).trim().split("\n");
  return lines[lines.length - 1].replace(/^[\w.]+\.([A-Z]\w*: )/, "$1");
}

async function boot({ config, nats }) {
  enter("loading");
  const restore = countDownloads();
  const files = download(config.example?.files ?? []);
  const pyodideURL = new URL(config.pyodide, location.href).href;
  const { loadPyodide } = await import(`${pyodideURL}pyodide.mjs`);
  const pyodide = await loadPyodide({
    indexURL: pyodideURL,
    packages: [new URL(config.wheel, location.href).href],
    fullStdLib: false,
  });
  pyodide.registerJsModule("agents_pump", { share });
  enter("starting");
  for (const { name, bytes } of await files) pyodide.FS.writeFile(name, bytes);
  restore();
  const settings = {
    nats: nats ?? config.nats,
    space: config.space,
    module: config.example?.module ?? null,
    log: config.log ?? null,
  };
  const tab = pyodide.pyimport("agents_browser.tab");
  const post = (text) => {
    const message = JSON.parse(text);
    if (message.type === "phase") phase = message.phase;
    postMessage(text);
  };
  const take = await tab.run(JSON.stringify(settings), post);
  tab.destroy();
  receive = take;
  for (const text of waiting.splice(0)) receive(text);
}

async function download(urls) {
  return Promise.all(
    urls.map(async (url) => {
      const response = await fetch(new URL(url, location.href));
      return { name: url.split("/").pop(), bytes: new Uint8Array(await response.arrayBuffer()) };
    }),
  );
}

// Pyodide downloads by `fetch`, and so do we: count the bytes there, each of them once. A file that
// is not there ends the boot with its name. Returns what puts the browser's own `fetch` back.
function countDownloads() {
  const browserFetch = self.fetch;
  self.fetch = async (resource, options) => {
    const file = String(resource?.url ?? resource).split("/").pop();
    const response = await browserFetch(resource, options);
    if (!response.ok) {
      const error = new Error(`${file}: the server answered ${response.status}`);
      fail(error);
      throw error;
    }
    return counted(response, file);
  };
  return () => {
    self.fetch = browserFetch;
  };
}

const REPORT_MS = 50; // a progress bar needs no more

function counted(response, file) {
  const total = Number(response.headers.get("X-Uncompressed-Length") ?? 0);
  let loaded = 0;
  let reported = 0;
  const report = () => send("progress", { phase: "loading", file, loaded, total });
  const counter = new TransformStream({
    transform(chunk, controller) {
      loaded += chunk.byteLength;
      controller.enqueue(chunk);
      if (performance.now() - reported > REPORT_MS) {
        reported = performance.now();
        report();
      }
    },
    flush: report,
  });
  const { status, statusText, headers } = response;
  const copy = new Response(response.body.pipeThrough(counter), { status, statusText, headers });
  Object.defineProperty(copy, "url", { value: response.url });
  return copy;
}
