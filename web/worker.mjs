// Boots Python in a worker and hands it the line to the page. Both ways of the line carry JSON text.
//
// The page sends {config, name, pingInterval, module} first; everything after it is for Python
// (`agents_browser.tab`) and waits until Python is there. What goes to the page as an object is
// {module}: Pyodide's compiled code, for further workers.

import { hosts } from "./hosts.mjs";
import { share } from "./pump.mjs";
import { startPython } from "./python.mjs";
import { joinStderr } from "./stderr.mjs";
import { onUncaught } from "./uncaught.mjs";

const EXITS = ["KeyboardInterrupt", "SystemExit"]; // exceptions of Python's

const send = (type, fields = {}) => postMessage(JSON.stringify({ type, ...fields }));

const waiting = [];
let receive = (text) => waiting.push(text);
let phase = "loading";

addEventListener("message", ({ data }) => {
  if (typeof data === "string") receive(data);
  else boot(data).catch(fail);
});

onUncaught({ isRunning: () => phase === "running", exits: EXITS, fail });

function enter(name, fields) {
  phase = name;
  send("phase", { phase, ...fields });
}

function fail(error) {
  if (phase === "failed") return;
  // Of a Python error the traceback is all there is to know: the stack would be that of the interpreter.
  const detail = String((error?.name === "PythonError" ? error.message : error?.stack) ?? error);
  send("failed", { phase, message: lastLine(error), detail });
  phase = "failed";
}

// The message of a Python error is its whole traceback; its last line says what is wrong.
function lastLine(error) {
  const lines = String(error?.message ?? error).trim().split("\n");
  return lines[lines.length - 1].replace(/^[\w.]+\.([A-Z]\w*: )/, "$1");
}

async function boot({ config, name, pingInterval, module }) {
  const report = (progress) => send("progress", { phase: "loading", ...progress });
  const started = await startPython({ config, module, report });
  if (!module) postMessage({ module: started.module });
  const { pyodide, from } = started;
  pyodide.registerJsModule("agents_pump", { share });
  pyodide.registerJsModule("agents_hosts", hosts(config, started.module));
  joinStderr(pyodide);
  enter("starting", { from });
  const settings = {
    nats: config.nats,
    space: config.space,
    name,
    ping_interval: pingInterval,
    module: config.example?.module ?? null,
    index: config.index ? new URL(config.index, location.href).href : null,
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
  if (!take) return; // it has told why
  receive = take;
  for (const text of waiting.splice(0)) receive(text);
}
