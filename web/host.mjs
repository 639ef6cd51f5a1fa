// A worker with a Python of its own, for agents that can be ended whatever they do. `hosts.mjs`
// starts it; what it says by itself, as a text, is why it failed.

import { share } from "./pump.mjs";
import { startPython } from "./python.mjs";
import { joinStderr } from "./stderr.mjs";
import { onUncaught } from "./uncaught.mjs";

const PAGE_BYTES = 64 * 1024;
const EXITS = ["KeyboardInterrupt", "MemoryError", "SystemExit"]; // exceptions of Python's

let running = false;

addEventListener("message", ({ data }) => run(data).catch(fail), { once: true });

onUncaught({ isRunning: () => running, exits: EXITS, fail });

function fail(error) {
  const lines = String(error?.message ?? error).trim().split("\n");
  postMessage(lines[lines.length - 1]); // of a Python error that is the exception, without its stack
}

async function run({ config, module, wall, packages, port }) {
  limitMemory(wall);
  const { pyodide } = await startPython({ config, module });
  joinStderr(pyodide);
  if (packages.length > 0) await pyodide.loadPackage(packages);
  pyodide.registerJsModule("agents_pump", { share });
  const host = pyodide.pyimport("agents_browser.host");
  const line = {
    port,
    post: ({ buffer }) => port.postMessage(buffer, [buffer]),
    heap: () => pyodide._module.HEAPU8.length,
    fail,
  };
  host.run(line);
  host.destroy();
  running = true;
}

// Memory of WebAssembly grows and never shrinks, and at 4 GiB Python can't go on. Here it may not
// grow that far: Python sees an allocation fail, a MemoryError, and the host is replaced.
function limitMemory(wall) {
  const { grow } = WebAssembly.Memory.prototype;
  WebAssembly.Memory.prototype.grow = function (pages) {
    if (this.buffer.byteLength + pages * PAGE_BYTES > wall) throw new RangeError("heap ceiling");
    return grow.call(this, pages);
  };
}
