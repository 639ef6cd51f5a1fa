// What happens to a page whose agents run in a worker: it is told to them, and the page holds the
// Web Locks that keep it awake and that keep its name its own.

const GOODBYE_MS = 100; // nobody looks at the page then
const HINTS = ["online", "offline"];

export class Lifecycle {
  #name;
  #awake;
  #tell;
  #ended = new AbortController();
  #locks = []; // functions that give them back
  #left = ""; // the event that began it: the page is frozen, gone, or kept for "back"

  /**
   * @param {object} options
   * @param {string} options.name a lock that one page of this origin has at a time; "" for none
   * @param {boolean} options.awake whether to keep the browser from freezing this page
   * @param {(event: string) => void} options.tell told of `hidden`, `visible`, `online`, `offline`;
   *   of `freeze`; of `pagehide`, after which the page may be gone or only kept for "back"; and then
   *   of nothing but the `resume` or `pageshow`, once the page has its name again
   */
  constructor({ name, awake, tell }) {
    this.#name = name;
    this.#awake = awake;
    this.#tell = (event) => this.#left || tell(event);
  }

  /** Wait until no other page has the name. Rejects where there are no locks, or at the end. */
  async claim() {
    if (!this.#name) return;
    if (!navigator.locks) {
      throw new Error("a name needs Web Locks, which a page has over https or from localhost");
    }
    await this.#take(this.#name);
  }

  /** The agents run. */
  begin() {
    const { signal } = this.#ended;
    const listen = (target, event, listener) => target.addEventListener(event, listener, { signal });
    const seen = () => this.#tell(document.visibilityState);
    listen(document, "visibilitychange", seen);
    listen(document, "freeze", () => this.#leave("freeze"));
    listen(document, "resume", () => this.#left === "freeze" && this.#comeBack("resume"));
    for (const event of HINTS) listen(self, event, () => this.#tell(event));
    listen(self, "pagehide", () => this.#leave("pagehide"));
    listen(self, "pageshow", ({ persisted }) => persisted && this.#comeBack("pageshow"));
    if (document.visibilityState === "hidden") seen();
    this.#stayAwake();
  }

  /** The agents have ended. */
  end() {
    this.#ended.abort();
    this.#giveBack();
  }

  // Another page may have the name of one that stands still; and some browsers keep no page with a
  // lock for "back". The worker stands still, or is gone, as soon as the event's handler has returned.
  #leave(event) {
    this.#giveBack();
    if (this.#left) return;
    this.#tell(event);
    this.#left = event;
    const end = performance.now() + GOODBYE_MS;
    while (performance.now() < end);
  }

  async #comeBack(event) {
    try {
      await this.claim();
    } catch {
      return; // left again meanwhile, or ended
    }
    this.#left = "";
    this.#stayAwake();
    this.#tell(event);
    if (event === "pageshow" && document.visibilityState === "hidden") this.#tell("hidden");
  }

  // Hold a lock until it is given back, which also ends the waiting for it.
  async #take(name) {
    const waiting = new AbortController();
    this.#locks.push(() => waiting.abort());
    this.#locks.push(await hold(name, waiting.signal));
  }

  #giveBack() {
    for (const release of this.#locks.splice(0)) release();
  }

  // Chrome freezes no page that holds a Web Lock which somebody waits for; this page waits for its own.
  #stayAwake() {
    if (!this.#awake || !navigator.locks) return;
    const name = `agents-core awake ${crypto.randomUUID()}`;
    for (const _ of ["held", "waited for"]) this.#take(name).catch(() => {}); // given back meanwhile
  }
}

/** Hold a Web Lock from when it is free; resolves with what gives it back. */
function hold(name, signal) {
  return new Promise((resolve, reject) => {
    const held = () => new Promise((release) => resolve(release));
    navigator.locks.request(name, { signal }, held).catch(reject);
  });
}
