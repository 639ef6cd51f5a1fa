// What arrives on a WebSocket, handed to Python once per batch: entering Python costs more than a
// small message.
//
// The first message after a pause goes on at once. Those that come while Python is at work wait,
// and so do those that the browser has queued before our own message, which we post to ourselves;
// when it comes, all of them go on as one.

const { port1, port2 } = new MessageChannel();
const due = [];
port1.onmessage = () => due.shift()();

function soon(callback) {
  due.push(callback);
  port2.postMessage(null);
}

function joined(chunks) {
  if (chunks.length === 1) return chunks[0];
  const bytes = new Uint8Array(chunks.reduce((size, chunk) => size + chunk.byteLength, 0));
  let position = 0;
  for (const chunk of chunks) {
    bytes.set(new Uint8Array(chunk), position);
    position += chunk.byteLength;
  }
  return bytes;
}

/**
 * Call `arrived` with the bytes of one or several messages; `socket.onmessage = null` ends it.
 *
 * A text message, which no NATS server sends, is passed on as it is.
 */
export function pump(socket, arrived) {
  let chunks = [];
  let waiting = false;

  function deliver() {
    const bytes = joined(chunks);
    chunks = [];
    soon(again);
    arrived(bytes);
  }

  function again() {
    if (socket.onmessage === take && chunks.length > 0) deliver();
    else waiting = false;
  }

  function take({ data }) {
    if (typeof data === "string") {
      arrived(data);
      return;
    }
    chunks.push(data);
    if (waiting) return;
    waiting = true;
    deliver();
  }

  socket.onmessage = take;
}
