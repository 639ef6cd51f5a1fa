// What a boot downloads: begun at once, all of it in parallel, and each byte counted.
//
// Pyodide asks for its files by `fetch`. While a boot runs, ours answers, with what is under way.

/** The header that tells how many bytes there are once they are unpacked. */
export const LENGTH = "X-Uncompressed-Length";

const REPORT_MS = 50; // a progress bar needs no more

const nameOf = (url) => url.split("?")[0].split("/").pop();

export class Downloads {
  #browserFetch = self.fetch;
  #begun = new Map();
  #stubs = new Set();
  #report;
  #fail;
  #heard = performance.now();

  /** Rejects when a file that the boot needs can't be had. Pyodide may keep silent about that. */
  failed = new Promise((_, reject) => (this.#fail = reject));

  /** @param {(progress: {file: string, loaded: number, total: number}) => void} report */
  constructor(report) {
    this.#report = report;
    this.failed.catch(() => {}); // whoever cares races with it
    self.fetch = (resource, options) => this.#answer(resource, options);
  }

  /** When something arrived last, by `performance.now()`. */
  get heard() {
    return this.#heard;
  }

  /** Put the browser's own `fetch` back. */
  end() {
    self.fetch = this.#browserFetch;
  }

  /** Begin a download that somebody will ask for by `fetch`. */
  begin(url) {
    const response = this.#needed(url);
    response.catch(() => {}); // `failed` tells
    this.#begun.set(url, response);
  }

  /** Answer with nothing when somebody asks for this by `fetch`, who won't read it. */
  stub(url) {
    this.#stubs.add(url);
  }

  /** A response whose body is counted while it is read. */
  async response(url) {
    return this.#counted(await this.#needed(url), nameOf(url));
  }

  /** The bytes of a file that the boot needs. */
  async bytes(url) {
    const response = await this.response(url);
    return new Uint8Array(await response.arrayBuffer());
  }

  /** A response with a file that the boot can do without; rejects if it can't be had. */
  optional(url) {
    return this.#get(url);
  }

  /**
   * The bytes of a response, while they arrive.
   *
   * @returns {Promise<{bytes: Uint8Array, complete: Promise<void>}>} `bytes` has its length at once,
   *   if the response tells it; what it holds counts when `complete` has resolved
   */
  async arriving(response, file) {
    const total = Number(response.headers.get(LENGTH));
    if (!total) {
      const counted = this.#counted(response, file, () => {});
      const bytes = new Uint8Array(await counted.arrayBuffer());
      return { bytes, complete: Promise.resolve() };
    }
    const bytes = new Uint8Array(total);
    const complete = this.#fill(bytes, response, file);
    complete.catch(() => {}); // whoever cares awaits it
    return { bytes, complete };
  }

  async #fill(bytes, response, file) {
    const reader = response.body.getReader();
    const count = this.#counter(file, bytes.length);
    let loaded = 0;
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      bytes.set(part.value, loaded);
      loaded += part.value.length;
      count.add(part.value.length);
    }
    if (loaded !== bytes.length) throw new Error(`${file}: cut short`);
    count.end();
  }

  async #answer(resource, options) {
    const url = String(resource?.url ?? resource);
    if (this.#stubs.has(url)) return new Response();
    const begun = this.#begun.get(url);
    this.#begun.delete(url);
    return this.#counted(await (begun ?? this.#needed(resource, options)), nameOf(url));
  }

  async #needed(resource, options) {
    try {
      return await this.#get(resource, options);
    } catch (error) {
      this.#fail(error);
      throw error;
    }
  }

  async #get(resource, options) {
    const file = nameOf(String(resource?.url ?? resource));
    const response = await this.#browserFetch.call(self, resource, options).catch((error) => {
      throw new Error(`${file}: no answer (${error.message})`);
    });
    if (!response.ok) throw new Error(`${file}: the server answered ${response.status}`);
    return response;
  }

  #counted(response, file, broken = this.#fail) {
    const reader = response.body.getReader();
    const count = this.#counter(file, Number(response.headers.get(LENGTH)));
    const pull = async (controller) => {
      const { done, value } = await reader.read().catch((error) => {
        const named = new Error(`${file}: cut short (${error.message})`);
        broken(named);
        throw named;
      });
      if (done) {
        count.end();
        controller.close();
      } else {
        count.add(value.byteLength);
        controller.enqueue(value);
      }
    };
    const body = new ReadableStream({ pull, cancel: (reason) => reader.cancel(reason) });
    const { status, statusText, headers } = response;
    const copy = new Response(body, { status, statusText, headers });
    Object.defineProperty(copy, "url", { value: response.url });
    return copy;
  }

  #counter(file, total) {
    let loaded = 0;
    let reported = 0;
    const end = () => this.#report({ file, loaded, total });
    const add = (bytes) => {
      this.#heard = performance.now();
      loaded += bytes;
      if (this.#heard - reported > REPORT_MS) {
        reported = this.#heard;
        end();
      }
    };
    return { add, end };
  }
}
