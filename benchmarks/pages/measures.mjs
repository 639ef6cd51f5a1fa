// The measures of `measures.py`, for clients in JavaScript: the same counts, batches and clock.
//
// A peer has `subscribe(subject, callback)`, `publish(subject, payload, count)` and `close()`.

const BATCH = 500;
const BATCH_BYTES = 256 * 1024;
const BATCHES = 4;

class Counter {
  received = 0;
  #count = 0;
  #resolve = null;

  reach(count) {
    if (this.received >= count) return performance.now();
    this.#count = count;
    return new Promise((resolve) => (this.#resolve = resolve));
  }

  one() {
    if (++this.received === this.#count) this.#resolve(performance.now());
  }
}

// As long as those of `measures.py`: 22 characters.
const unique = () => crypto.randomUUID().replaceAll("-", "").slice(0, 22);

export const median = (values) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)];

export async function publishReceive(peer, size, count) {
  const subject = unique();
  const payload = new Uint8Array(size);
  const batch = Math.max(1, Math.min(BATCH, Math.floor(BATCH_BYTES / size)));
  const counter = new Counter();
  await peer.subscribe(subject, () => counter.one(), size);
  const began = performance.now();
  for (let done = 0; done < count; done += batch) {
    await counter.reach(done - (BATCHES - 1) * batch);
    peer.publish(subject, payload, Math.min(batch, count - done));
  }
  return (count / ((await counter.reach(count)) - began)) * 1e3;
}

export async function thereAndBack(peer, count) {
  const subject = unique();
  const payload = new TextEncoder().encode("ping");
  const counter = new Counter();
  await peer.subscribe(subject, () => counter.one(), payload.length);
  const times = [];
  for (let i = 0; i < count; i++) {
    counter.received = 0;
    const began = performance.now();
    peer.publish(subject, payload, 1);
    times.push((await counter.reach(1)) - began);
  }
  return median(times) * 1e3; // µs
}
