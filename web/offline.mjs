// Whether the page works without its server: the service worker keeps what it consists of.

import { CACHE } from "./cache.mjs";

// A browser ends a service worker whose work takes longer, and nobody hears of it.
const PATIENCE_S = 300;

/**
 * Keep the page's files for a visit without the server, and for a faster one with it.
 *
 * @param {{patience?: number}} [options] `patience`: seconds that it may take; what there is by then
 *   is not fetched again the next time
 * @returns {Promise<boolean>} whether all of them are kept; false where browsers have no service
 *   worker, as on a page that came over plain http from another machine
 */
export function keep({ patience = PATIENCE_S } = {}) {
  const late = new Promise((resolve) => setTimeout(resolve, patience * 1e3, false));
  return Promise.race([asked(), late]);
}

/** What the service worker answers; nothing if the browser ends it meanwhile. */
async function asked() {
  if (!navigator.serviceWorker) return false;
  await navigator.serviceWorker.register("/sw.mjs", { scope: "/", updateViaCache: "none" });
  const { active } = await navigator.serviceWorker.ready;
  const { port1, port2 } = new MessageChannel();
  const answer = new Promise((resolve) => (port1.onmessage = ({ data }) => resolve(data)));
  active.postMessage("keep", [port2]);
  return answer;
}

/** Delete all that is kept, and the service worker: the next visit is like the first. */
export async function forget() {
  const registration = await navigator.serviceWorker?.getRegistration("/");
  await registration?.unregister();
  await self.caches?.delete(CACHE);
}
