// Whether the page works without its server: the service worker keeps what it consists of.

import { CACHE } from "./cache.mjs";

/**
 * Keep the page's files for a visit without the server, and for a faster one with it.
 *
 * @returns {Promise<boolean>} whether all of them are kept; false where browsers have no service
 *   worker, as on a page that came over plain http from another machine
 */
export async function keep() {
  if (!navigator.serviceWorker) return false;
  await navigator.serviceWorker.register("/sw.mjs", { scope: "/", updateViaCache: "none" });
  const { active } = await navigator.serviceWorker.ready;
  const { port1, port2 } = new MessageChannel();
  const kept = new Promise((resolve) => (port1.onmessage = ({ data }) => resolve(data)));
  active.postMessage("keep", [port2]);
  return kept;
}

/** Delete all that is kept, and the service worker: the next visit is like the first. */
export async function forget() {
  const registration = await navigator.serviceWorker?.getRegistration("/");
  await registration?.unregister();
  await self.caches?.delete(CACHE);
}
