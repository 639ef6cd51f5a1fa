// What there is without this project's boot: `loadPyodide` in a worker, and the wheel imported.
const config = await (await fetch("/config.json")).json();
const worker = new Worker("/stock_worker.mjs", { type: "module" });
worker.onmessage = ({ data: error }) => {
  const body = JSON.stringify({ page: performance.now(), error });
  fetch("/answer", { method: "POST", body });
};
worker.postMessage(config);
