// Our client in Pyodide, nats.js and the bare WebSocket, in turns, in one worker.
import { loadPyodide } from "/pyodide/pyodide.mjs";
import { share } from "/pump.mjs";
import { publishReceive, thereAndBack } from "/measures.mjs";
import { connect as natsJs } from "/nats_js.mjs";
import { connect as raw } from "/raw.mjs";

try {
  const order = await (await fetch("/order.json")).json();
  postMessage(JSON.stringify({ results: await run(order) }));
} catch (error) {
  postMessage(JSON.stringify({ error: String(error.stack ?? error) }));
}

async function run({ wheel, url, runs, scale }) {
  const pyodide = await loadPyodide({ packages: [new URL(wheel, location.href).href] });
  pyodide.registerJsModule("agents_pump", { share });
  const sources = await (await fetch("/benchmarks.zip")).arrayBuffer();
  pyodide.unpackArchive(sources, "zip");
  const tab = pyodide.pyimport("benchmarks.in_tab");
  const settings = JSON.parse(tab.settings(scale));
  const results = JSON.parse(await tab.of_loops(runs, scale));
  pyodide.pyimport("agents_browser.eventloop").install();
  const note = (who, found) => {
    for (const [what, value] of Object.entries(found)) {
      ((results[who] ??= {})[what] ??= []).push(value);
    }
  };
  for (let i = 0; i < runs; i++) {
    note("tab, our client", JSON.parse(await tab.of_own(url, scale)));
    note("tab, nats.js", await measure(await natsJs(url), settings));
    note("tab, bare WebSocket", await measure(await raw(url), settings));
  }
  return { ...results, ...JSON.parse(await tab.of_agents(url, runs, scale)) };
}

async function measure(peer, { sizes, roundTrips }) {
  const found = {};
  for (const { name, size, count } of sizes) {
    found[`publish and receive ${name}, per s`] = await publishReceive(peer, size, count);
  }
  found["one message there and back, µs"] = await thereAndBack(peer, roundTrips);
  await peer.close();
  return found;
}
