// Hosts of a tab. With `crowd`, so many of them begin and stay; else it takes all figures.
import { hosts } from "/hosts.mjs";
import { share } from "/pump.mjs";
import { startPython } from "/python.mjs";

addEventListener("message", async ({ data: { config, order } }) => {
  try {
    const { pyodide, module } = await startPython({ config });
    pyodide.registerJsModule("agents_pump", { share });
    pyodide.registerJsModule("agents_hosts", hosts(config, module));
    const sources = await (await fetch("/benchmarks.zip")).arrayBuffer();
    pyodide.unpackArchive(sources, "zip");
    const tab = pyodide.pyimport("benchmarks.in_tab");
    if (order.crowd) await tab.crowd(order.crowd);
    const taken = order.crowd ? null : await tab.of_hosts(order.place, order.runs, order.scale);
    postMessage({ results: JSON.parse(taken) });
  } catch (error) {
    postMessage({ error: String(error.stack ?? error) });
  }
});
