// Our client in Pyodide, nats.js and the bare WebSocket, in turns at each measure, in one worker.
import { loadPyodide } from "/pyodide/pyodide.mjs";
import { share } from "/pump.mjs";
import { median, publishReceive, thereAndBack } from "/measures.mjs";
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
  const note = (who, what, value) => ((results[who] ??= {})[what] ??= []).push(value);
  for (let i = 0; i < runs; i++) {
    const own = await tab.own(url);
    const others = { "tab, nats.js": await natsJs(url), "tab, bare WebSocket": await raw(url) };
    for (const what of settings.names) {
      const values = { "tab, our client": [] };
      for (let turn = 0; turn < settings.turns; turn++) {
        values["tab, our client"].push(await tab.measure(own, what, scale));
        for (const [who, peer] of Object.entries(others)) {
          const value = await measure(peer, what, settings);
          if (value) (values[who] ??= []).push(value);
        }
      }
      for (const [who, found] of Object.entries(values)) note(who, what, median(found));
    }
    for (const peer of [own, ...Object.values(others)]) await peer.close();
    own.destroy();
  }
  return { ...results, ...JSON.parse(await tab.of_agents(url, runs, scale)) };
}

/** One figure; nothing of what is measured of our client only. */
async function measure(peer, what, { sizes, roundTrips }) {
  if (what in sizes) return publishReceive(peer, ...sizes[what]);
  if (what in roundTrips) return thereAndBack(peer, roundTrips[what]);
}
