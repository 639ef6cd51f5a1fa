// Python in this worker: from a memory snapshot if there is one of this Pyodide with this wheel,
// from the beginning if there is none or it fails.

import { CACHE } from "./cache.mjs";
import { Downloads } from "./downloads.mjs";
import { restore } from "./snapshot.mjs";
import { withWheel } from "./wheel.mjs";

const QUIET_MS_MAX = 10_000; // a restore takes a tenth of a second once everything has arrived

/**
 * Start Python, with the example's files where it runs.
 *
 * @param {object} options
 * @param {object} options.config what `/config.json` says
 * @param {WebAssembly.Module} [options.module] Pyodide's code, if another worker has compiled it
 * @param {(progress: object) => void} [options.report] told of bytes that have arrived
 * @returns {Promise<{pyodide: object, from: "snapshot" | "scratch", module: WebAssembly.Module}>}
 *   `module` is for the next worker
 */
export async function startPython({ config, module, report = () => {} }) {
  const downloads = new Downloads(report);
  const { instantiateStreaming } = WebAssembly;
  try {
    const files = (config.example?.files ?? []).map(async (url) => ({
      name: url.split("/").pop(),
      bytes: await downloads.bytes(url),
    }));
    const starting = start(config, downloads, module);
    const started = await Promise.race([starting, downloads.failed]);
    for (const { name, bytes } of await Promise.all(files)) started.pyodide.FS.writeFile(name, bytes);
    return started;
  } finally {
    WebAssembly.instantiateStreaming = instantiateStreaming;
    downloads.end();
  }
}

async function start(config, downloads, module) {
  const folder = new URL(config.pyodide, location.href).href;
  const arriving = snapshotOf(config, downloads);
  const code = useModule(`${folder}pyodide.asm.wasm`, downloads, module);
  downloads.begin(`${folder}python_stdlib.zip`);
  downloads.begin(`${folder}pyodide-lock.json`);
  const wheel = downloads.bytes(config.wheel);
  const options = { indexURL: folder, ...withWheel(config.wheel.split("/").pop(), wheel) };
  const { loadPyodide } = await import(`${folder}pyodide.mjs`);
  const snapshot = await arriving;
  if (snapshot !== null) {
    try {
      const { bytes, complete } = snapshot;
      const { default: create } = await import(`${folder}pyodide.asm.mjs`);
      const restoring = restore(loadPyodide, create, options, bytes, complete);
      const pyodide = await inTime(Promise.race([restoring, code.failed]), downloads);
      return { pyodide, from: "snapshot", module: await code.module };
    } catch (error) {
      console.warn("Python starts without its snapshot:", error);
      await (await ownCache())?.delete(config.snapshot);
    }
  }
  const pyodide = await Promise.race([loadPyodide(options), code.failed]);
  return { pyodide, from: "scratch", module: await code.module };
}

/** A snapshot while it arrives: this browser's own, or else the server's; null if there is none. */
async function snapshotOf({ snapshot, files }, downloads) {
  if (!snapshot) return null; // whoever started this wants none
  try {
    const kept = await (await ownCache())?.match(snapshot);
    // It spares work and costs bytes: not what somebody wants who saves data.
    const offered = snapshot in files && !navigator.connection?.saveData;
    const response = kept ?? (offered ? await downloads.optional(snapshot) : null);
    return response && (await downloads.arriving(response, snapshot.split("/").pop()));
  } catch (error) {
    console.warn("no snapshot:", error);
    return null;
  }
}

/** Null on a page that came over plain http from another machine, and where site data is blocked. */
async function ownCache() {
  try {
    return await self.caches.open(CACHE);
  } catch {
    return null;
  }
}

/** Have Pyodide run the module, or the one that is compiled from our own download. */
function useModule(url, downloads, given) {
  downloads.stub(url);
  const module = given ? Promise.resolve(given) : compile(url, downloads);
  let fail;
  const failed = new Promise((_, reject) => (fail = reject));
  for (const promise of [module, failed]) promise.catch(() => {}); // whoever cares races with them
  WebAssembly.instantiateStreaming = async (_, imports) => {
    try {
      const found = await module;
      return { module: found, instance: await WebAssembly.instantiate(found, imports) };
    } catch (error) {
      fail(error); // Pyodide would say it to the console, and wait for ever
      throw error;
    }
  };
  return { module, failed };
}

async function compile(url, downloads) {
  try {
    return await WebAssembly.compileStreaming(downloads.response(url));
  } catch (error) {
    throw new Error(`${url.split("/").pop()}: ${error.message}`);
  }
}

/** What `work` gives; rejects if nothing has happened for too long. */
function inTime(work, downloads) {
  const began = performance.now();
  let timer;
  const silence = new Promise((_, reject) => {
    const look = () => {
      const quiet = performance.now() - Math.max(began, downloads.heard);
      if (quiet > QUIET_MS_MAX) reject(new Error(`nothing happened for ${QUIET_MS_MAX} ms`));
    };
    timer = setInterval(look, QUIET_MS_MAX / 10);
  });
  return Promise.race([work, silence]).finally(() => clearInterval(timer));
}
