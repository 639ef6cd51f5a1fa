// Hosts: workers of this worker, each with a Python of its own. For `agents_browser.worker`.

/**
 * What Python imports as `agents_hosts`.
 *
 * @param {object} config what `/config.json` says
 * @param {WebAssembly.Module} [module] Pyodide's code, if it is compiled already
 */
export const hosts = (config, module) => ({
  /**
   * Start a worker.
   *
   * @param {number} wall bytes of memory that its Python can't go beyond
   * @param {string[]} packages for Pyodide to load
   * @param {(reason: string) => void} lost called when it has failed
   * @returns what it sends comes by `port`
   */
  open(wall, packages, lost) {
    const worker = new Worker(new URL("./host.mjs", import.meta.url), { type: "module" });
    const { port1: port, port2 } = new MessageChannel();
    let ended = false;
    worker.onmessage = ({ data }) => lost(data);
    worker.onerror = (event) => {
      event.preventDefault(); // else it goes on to the page, and ends all of it
      if (!ended) lost(event.message ?? "the worker failed");
    };
    worker.postMessage({ config, module, wall, packages, port: port2 }, [port2]);
    return {
      port,
      post: ({ buffer }) => port.postMessage(buffer, [buffer]),
      end() {
        ended = true;
        worker.terminate();
        worker.onmessage = port.onmessage = null;
        port.close();
      },
    };
  },
});
