// nats.js over the browser's WebSocket.
import { wsconnect } from "@nats-io/nats-core";

export async function connect(url) {
  const connection = await wsconnect({ servers: url });
  return {
    async subscribe(subject, callback) {
      connection.subscribe(subject, { callback });
      await connection.flush();
    },
    publish(subject, payload, count) {
      for (let i = 0; i < count; i++) connection.publish(subject, payload);
    },
    close: () => connection.close(),
  };
}
