// What nobody caught in a worker that runs Python.

/**
 * @param {{ isRunning: () => boolean, exits: string[], fail: (error: unknown) => void }} options `isRunning`
 *   tells whether Python has started; `exits` names the exceptions of Python's that end it; `fail` is told of the end.
 */
export function onUncaught({ isRunning, exits, fail }) {
  addEventListener("error", (event) => uncaught(event, event.error ?? event.message));
  addEventListener("unhandledrejection", (event) => uncaught(event, event.reason));

  // Emscripten swallows some failures of a boot: its promise then never settles, but these events come.
  // Later, only the end of Python itself is that of the worker, and what ends a process elsewhere. What
  // else nobody caught, as in a callback that an agent gave to JavaScript, harms nobody else; and of an
  // error of Python's the traceback is worth showing, not the interpreter's stack.
  function uncaught(event, error) {
    if (!isRunning() || error?.pyodide_fatal_error || exits.includes(error?.type)) {
      fail(error);
    } else {
      event.preventDefault();
      console.error(error?.name === "PythonError" ? error.message.trim() : error);
    }
  }
}
