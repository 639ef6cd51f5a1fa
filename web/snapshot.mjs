// Memory snapshots of Pyodide. What this project uses of Pyodide's private parts is here.
//
// A snapshot is the interpreter's memory after `agents_browser.snapshot.prepare()`. It fits the
// build of Pyodide that it was taken with, which it names, and the wheel that was imported. Whoever
// restores one has to be ready for an exception, and to start without it then.

/**
 * Start Pyodide for nothing but a snapshot, and take it.
 *
 * What Python sees as `js` in there is not quite the global scope: nothing else should run in it.
 *
 * @param {Function} loadPyodide
 * @param {object} options for it; they have to put the wheel in place
 * @returns {Promise<Uint8Array>}
 */
export async function take(loadPyodide, options) {
  pretendToSuspend();
  const pyodide = await loadPyodide({ ...options, _makeSnapshot: true });
  pyodide.runPython("from agents_browser.snapshot import prepare; prepare()");
  setTrampoline(pyodide._module, 0);
  return pyodide.makeMemorySnapshot();
}

/**
 * Start Pyodide from a snapshot.
 *
 * @param {Function} loadPyodide
 * @param {Function} createPyodideModule of the same Pyodide's `pyodide.asm.mjs`
 * @param {object} options for `loadPyodide`, as they were when the snapshot was taken
 * @param {Uint8Array} snapshot it need not have arrived yet; its length counts from the beginning
 * @param {Promise<void>} complete resolves when it has
 */
export async function restore(loadPyodide, createPyodideModule, options, snapshot, complete) {
  let trampoline = 0;
  const pyodide = await loadPyodide({
    ...options,
    createPyodideModule: async (settings) => {
      const [module] = await Promise.all([createPyodideModule(settings), complete]);
      trampoline = module.HEAP32[trampolineIndex(module)];
      return module;
    },
    _loadSnapshot: snapshot,
  });
  setTrampoline(pyodide._module, trampoline);
  setTimeZone(pyodide._module);
  pyodide.runPython("from agents_browser.snapshot import restored; restored()");
  return pyodide;
}

// Whether Python can be suspended for JavaScript's promises (JSPI, for `run_sync`) is in the memory too.
// What takes a snapshot suspends nothing, so it may say yes for those who can; where a browser can't,
// `run_sync` finds that out by itself.

function pretendToSuspend() {
  if ("Suspending" in WebAssembly) return;
  WebAssembly.Suspending = function (callback) {
    return callback;
  };
  WebAssembly.promising = (callback) => callback;
}

// CPython calls some C functions by way of a small WebAssembly function that is made for it where the
// browser can. Its number is in the memory; 0 stands for a way through JavaScript that works
// everywhere, but is slower, and Python can't be suspended on it. The number in a snapshot is that of
// the process that took it, and in Node 20 it is 0. So a snapshot is taken with 0, and gets the number
// of its own worker when it has been restored.

function setTrampoline(module, number) {
  module.HEAP32[trampolineIndex(module)] = number;
}

function trampolineIndex({ HEAP32, __PyRuntime, __PyEM_EMSCRIPTEN_TRAMPOLINE_OFFSET: offset }) {
  if (offset === undefined) throw new Error("this Pyodide is another than the one known here");
  return (__PyRuntime + HEAP32[offset >>> 2]) >>> 2;
}

// The C library asks for the user's time zone once, which was before the snapshot was taken.

function setTimeZone({ HEAPU32, _timezone, _daylight, _tzname, __tzset_js: set }) {
  const [standard, summer] = HEAPU32.subarray(_tzname >>> 2, (_tzname >>> 2) + 2);
  set(_timezone, _daylight, standard, summer);
}
