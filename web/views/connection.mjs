// The connection to NATS: where to, how it is, how long a round trip takes.

import { h, write } from "./dom.mjs";

const WORDS = {
  connecting: "connecting",
  connected: "connected",
  reconnecting: "reconnecting",
  draining: "closing",
  closed: "closed",
};

export function connection(element) {
  const status = h("strong", { "data-testid": "connection-status", role: "status" });
  const url = h("span", { class: "muted", "data-testid": "connection-url" });
  const rtt = h("span", { class: "number", "data-testid": "connection-rtt" });
  const reconnects = h("span", { class: "number", "data-testid": "connection-reconnects" });
  element.append(
    h("span", { class: "dot", "aria-hidden": "true" }),
    status,
    url,
    h("span", { class: "fact" }, h("span", { class: "muted" }, "round trip "), rtt),
    h("span", { class: "fact" }, h("span", { class: "muted" }, "reconnects "), reconnects),
  );
  element.hidden = true;

  function update(found) {
    element.hidden = false;
    const local = found.url.startsWith("local:");
    element.dataset.status = local ? "local" : found.status;
    write(status, local ? "this tab only" : (WORDS[found.status] ?? found.status));
    write(url, found.url);
    write(rtt, found.rtt == null ? "–" : `${(found.rtt * 1000).toFixed(1)} ms`);
    write(reconnects, found.reconnects);
  }

  return { update };
}
