// The browser's WebSocket by itself: frames made beforehand, arrivals counted in bytes and not
// looked at. No client can be faster.

const MESSAGE_BYTES_MAX = 64 * 1024;
const encode = (text) => new TextEncoder().encode(text);

export async function connect(url) {
  const socket = new WebSocket(url);
  socket.binaryType = "arraybuffer";
  await new Promise((resolve) => (socket.onmessage = resolve)); // INFO
  socket.send(encode('CONNECT {"verbose":false,"protocol":1}\r\nPING\r\n'));
  await new Promise((resolve) => (socket.onmessage = resolve)); // PONG
  let sid = 0;
  let frames = null;
  return {
    async subscribe(subject, callback, size) {
      const length = encode(`MSG ${subject} ${++sid} ${size}\r\n`).length + size + 2;
      let left = length;
      frames = null;
      socket.send(encode(`SUB ${subject} ${sid}\r\nPING\r\n`));
      await new Promise((resolve) => {
        socket.onmessage = ({ data }) => {
          if (new TextDecoder().decode(data).includes("PONG")) resolve();
        };
      });
      socket.onmessage = ({ data }) => {
        left -= data.byteLength;
        for (; left <= 0; left += length) callback();
      };
    },
    publish(subject, payload, count) {
      const line = encode(`PUB ${subject} ${payload.length}\r\n`);
      const length = line.length + payload.length + 2;
      const each = Math.max(1, Math.floor(MESSAGE_BYTES_MAX / length));
      if (frames === null) {
        frames = new Uint8Array(each * length);
        for (let i = 0; i < each; i++) {
          frames.set(line, i * length);
          frames.set(payload, i * length + line.length);
          frames.set([13, 10], (i + 1) * length - 2);
        }
      }
      for (let done = 0; done < count; done += each) {
        socket.send(frames.subarray(0, Math.min(each, count - done) * length));
      }
    },
    close: () => socket.close(),
  };
}
