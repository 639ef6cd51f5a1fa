// Takes this browser's own snapshot, in a worker that is there for nothing else, and keeps it.
//
// Where the server has none to offer, the page has this done once its agents run; the next visit,
// and the next worker, find it in the cache.

import { CACHE } from "./cache.mjs";
import { LENGTH } from "./downloads.mjs";
import { take } from "./snapshot.mjs";
import { withWheel } from "./wheel.mjs";

addEventListener("message", async ({ data: { config } }) => {
  try {
    await navigator.locks.request("agents-core snapshot", () => keep(config));
  } catch (error) {
    console.warn("no snapshot was taken:", error);
  }
  close();
});

async function keep({ pyodide, wheel, snapshot }) {
  const cache = await caches.open(CACHE);
  if (await cache.match(snapshot)) return; // another tab was first
  const folder = new URL(pyodide, location.href).href;
  const { loadPyodide } = await import(`${folder}pyodide.mjs`);
  const bytes = (await fetch(wheel)).arrayBuffer().then((buffer) => new Uint8Array(buffer));
  const taken = await take(loadPyodide, {
    indexURL: folder,
    ...withWheel(wheel.split("/").pop(), bytes),
  });
  const { pathname: snapshots } = new URL(".", new URL(snapshot, location.href));
  for (const { url } of await cache.keys()) {
    const { pathname, search } = new URL(url);
    if (pathname.startsWith(snapshots) && !search) await cache.delete(url); // of earlier builds
  }
  await cache.put(snapshot, new Response(taken, { headers: { [LENGTH]: taken.length } }));
}
