// The service worker: the page's files, kept by the tags that `/config.json` has for them.
//
// Whenever a page is opened, the server is asked for `/config.json`. A file that is kept with the
// tag it has there comes from the cache, every other one from the server. Only when there is no
// answer does the page open as it was when all of it was kept last.
//
// Loaded as a classic script, which every browser takes: no imports here.

const CACHE = "agents-core-1"; // as in cache.mjs
const CONFIG = "/config.json";
const ANSWER_MS_MAX = 3_000; // a server that takes longer counts as away
const REUSE_MS_MAX = 2_000; // a page asks for its configuration right after it was opened

let current = null; // {text, files, asked}: the configuration that this visit goes by

addEventListener("install", () => skipWaiting());

addEventListener("activate", (event) => {
  event.waitUntil(Promise.all([forgetOldCaches(), clients.claim()]));
});

addEventListener("message", (event) => {
  const [port] = event.ports;
  const tell = (kept) => port.postMessage(kept);
  event.waitUntil(keep().then(tell, () => tell(false)));
});

addEventListener("fetch", (event) => {
  const { method, mode, url } = event.request;
  const { origin, pathname, search } = new URL(url);
  if (method !== "GET" || origin !== location.origin) return;
  if (mode === "navigate") event.respondWith(open(event.request, pathname));
  else if (pathname === CONFIG) event.respondWith(configuration());
  else if (!search) event.respondWith(answer(event.request, pathname));
});

// -- what the server says, or said

async function open(request, path) {
  current = await latest();
  return answer(request, path);
}

/** The server's configuration now; the kept one if the server is away; null if there is none. */
async function latest() {
  let response;
  try {
    const signal = AbortSignal.timeout(ANSWER_MS_MAX);
    response = await fetch(CONFIG, { cache: "no-store", signal });
    if (response.status < 500) return await understood(await response.text());
  } catch {
    // no answer in time
  }
  const kept = await keptAs(CONFIG);
  return kept ? parsed(await kept.text()) : null;
}

async function understood(text) {
  const found = parsed(text);
  if (found === null) {
    // Somebody else's server has this origin now.
    await registration.unregister();
    await caches.delete(CACHE);
  }
  return found;
}

function parsed(text) {
  try {
    const { files, snapshot } = JSON.parse(text);
    return files ? { text, files, snapshot, asked: performance.now() } : null;
  } catch {
    return null;
  }
}

// -- answers

async function configuration() {
  const known = current !== null && performance.now() - current.asked < REUSE_MS_MAX;
  const found = known ? current : await latest();
  return found ? json(found.text) : fetch(CONFIG);
}

async function answer(request, path) {
  current ??= await latest();
  const tag = current?.files[path];
  return (tag && (await keptAs(key(path, tag)))) || fetch(request);
}

/** What is kept; nothing where the browser can't read its caches, as when its disk has failed. */
async function keptAs(name) {
  try {
    return await (await caches.open(CACHE)).match(name, { ignoreVary: true });
  } catch {
    return undefined;
  }
}

const key = (path, tag) => `${path}?${tag}`;
const json = (text) => new Response(text, { headers: { "Content-Type": "application/json" } });

// -- keeping

/** Keep every file of the latest configuration, then forget all others; whether that worked. */
async function keep() {
  const wanted = await latest();
  if (wanted === null) return false;
  const cache = await caches.open(CACHE);
  const keys = new Set([CONFIG]);
  if (!(wanted.snapshot in wanted.files)) keys.add(wanted.snapshot); // the browser's own
  for (const [path, tag] of Object.entries(wanted.files)) {
    keys.add(key(path, tag));
    if (await cache.match(key(path, tag), { ignoreVary: true })) continue;
    const response = await fetch(path);
    const found = response.headers.get("ETag")?.replace("W/", "");
    if (!response.ok || found !== `"${tag}"`) return false; // changed meanwhile
    await cache.put(key(path, tag), response);
  }
  await cache.put(CONFIG, json(wanted.text));
  for (const { url } of await cache.keys()) {
    const { pathname, search } = new URL(url);
    if (!keys.has(pathname + search)) await cache.delete(url, { ignoreVary: true });
  }
  return true;
}

async function forgetOldCaches() {
  for (const name of await caches.keys()) {
    if (name.startsWith("agents-core-") && name !== CACHE) await caches.delete(name);
  }
}
