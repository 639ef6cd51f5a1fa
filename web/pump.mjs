// Bytes of a WebSocket, or a port of another worker, to Python and back, by memory that both sides see:
// to hand over an object for each message costs more than a small message does.
//
// What arrives is handed over once per batch, as entering Python is what costs most. The first
// message after a pause goes on at once. Those that come while Python is at work wait, and so do
// those that the browser has queued before our own message, which we post to ourselves; when it
// comes, all of them go on as one. Behind a full message more of the same is to come: it waits for
// that, unless enough is there, or nothing comes.

// The size at which a NATS server cuts what it sends to a browser.
const FULL_BYTES = 4096;

// So much goes on without waiting for the rest.
const ENOUGH_BYTES = 64 * 1024;

// Milliseconds that a full message waits at most for the next one: the last of them may be full.
const PATIENCE_MS = 1;

const { port1, port2 } = new MessageChannel();
const due = [];
port1.onmessage = () => due.shift()();

function soon(callback) {
  due.push(callback);
  port2.postMessage(null);
}

// The bytes of a Python buffer. All of Python's memory moves when it grows.
function bytesOf(buffer) {
  const kept = buffer.copy();
  let view = kept.getBuffer("u8");
  return () => {
    if (view.data.length === 0) {
      view.release();
      view = kept.getBuffer("u8");
    }
    return view.data;
  };
}

/**
 * Share two buffers of Python's with all WebSockets and ports of this worker.
 *
 * Returns `pump(socket, arrived)`, which from then on calls `arrived` with the number of bytes in
 * `inbound`, again and again if they do not fit; `socket.onmessage = null` ends it. A text message,
 * which no NATS server sends, is passed on as it is. And `send(socket, size)`, which sends so many
 * bytes of `outbound`, and returns how many bytes of the socket's still wait in the browser.
 */
export function share(inbound, outbound) {
  const inboundBytes = bytesOf(inbound);
  const outboundBytes = bytesOf(outbound);
  return {
    pump: (socket, arrived) => pump(socket, arrived, inboundBytes),
    send(socket, size) {
      socket.send(outboundBytes().subarray(0, size));
      return socket.bufferedAmount;
    },
  };
}

function pump(socket, arrived, inbound) {
  let chunks = [];
  let size = 0;
  let busy = false; // from the entry into Python until our own message behind it
  let timer = 0;

  function take({ data }) {
    if (typeof data === "string") {
      arrived(data);
      return;
    }
    chunks.push(data);
    size += data.byteLength;
    if (!busy) deliverInTime();
  }

  function deliverInTime() {
    const more = chunks.at(-1).byteLength === FULL_BYTES && size < ENOUGH_BYTES;
    if (more) timer ||= setTimeout(deliver, PATIENCE_MS);
    else deliver();
  }

  function deliver() {
    if (timer) clearTimeout(timer);
    timer = 0;
    if (socket.onmessage !== take) return;
    const batch = chunks;
    chunks = [];
    size = 0;
    busy = true;
    try {
      handOver(batch);
    } finally {
      soon(again);
    }
  }

  function handOver(batch) {
    const room = inbound().length;
    let filled = 0;
    for (const chunk of batch) {
      for (let begin = 0; begin < chunk.byteLength; ) {
        const size = Math.min(room - filled, chunk.byteLength - begin);
        inbound().set(new Uint8Array(chunk, begin, size), filled);
        begin += size;
        filled += size;
        if (filled === room) {
          arrived(filled);
          filled = 0;
        }
      }
    }
    if (filled > 0) arrived(filled);
  }

  function again() {
    busy = false;
    if (chunks.length > 0) deliverInTime();
  }

  socket.onmessage = take;
  socket.addEventListener("close", deliver); // nothing follows any more
}
