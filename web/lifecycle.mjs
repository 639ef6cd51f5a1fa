// What happens to a page whose agents run in a worker: it is told to them, and the page holds the
// Web Locks that keep it awake and that keep its name its own.

// What the worker has to say good-bye in. Nobody looks at a page that is frozen; of one that is left
// the next one waits.
const GOODBYE_MS = { freeze: 500, pagehide: 100 };
const HINTS = ["online", "offline"];

export class Lifecycle {
  #name;
  #awake;
  #tell;
  #ended = new AbortController();
  #locks = []; // functions that give them back
  #begun = false;
  #waiting = false; // for the name
  #goOn = () => {}; // with that, after standing still
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
    this.#listen(document, "freeze", () => this.#leave("freeze"));
    this.#listen(document, "resume", () => this.#comeBack("resume"));
    this.#listen(self, "pagehide", () => this.#leave("pagehide"));
    this.#listen(self, "pageshow", ({ persisted }) => persisted && this.#comeBack("pageshow"));
  }

  /** Wait until no other page has the name. Rejects where there are no locks, or at the end. */
  async claim() {
    if (!this.#name) return;
    if (!navigator.locks) {
      throw new Error("a name needs Web Locks, which a page has over https or from localhost");
    }
    this.#waiting = true;
    while (!(await this.#isGiven())) await new Promise((goOn) => (this.#goOn = goOn));
    this.#waiting = false;
  }

  /** The agents run. */
  begin() {
    this.#begun = true;
    const seen = () => this.#tell(document.visibilityState);
    this.#listen(document, "visibilitychange", seen);
    for (const event of HINTS) this.#listen(self, event, () => this.#tell(event));
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
    if (this.#begun || this.#waiting) this.#giveBack();
    if (!this.#begun || this.#left) return;
    this.#tell(event);
    this.#left = event;
    const end = performance.now() + GOODBYE_MS[event];
    while (performance.now() < end);
  }

  async #comeBack(event) {
    if (this.#waiting) return this.#goOn();
    if (!this.#left || (this.#left === "pagehide" && event === "resume")) return; // pageshow follows
    try {
      await this.claim();
    } catch {
      return; // ended meanwhile
    }
    this.#left = "";
    this.#stayAwake();
    this.#tell(event);
    if (event === "pageshow" && document.visibilityState === "hidden") this.#tell("hidden");
  }

  // Whether this page has the name; if not, it stands still, where nobody may be given one.
  async #isGiven() {
    try {
      await this.#take(this.#name);
      return true;
    } catch (error) {
      if (this.#ended.signal.aborted || error.name !== "AbortError") throw error;
      return false;
    }
  }

  // Hold a lock until it is given back, which also ends the waiting for it.
  async #take(name) {
    const waiting = new AbortController();
    this.#locks.push(() => waiting.abort());
    this.#locks.push(await hold(name, waiting.signal));
  }

  #listen(target, event, listener) {
    target.addEventListener(event, listener, { signal: this.#ended.signal });
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
