// What happened to agents, the newest first; tracebacks on demand.

import { h, write } from "./dom.mjs";

const ENTRIES_MAX = 200; // older ones are in the node's own log

const time = new Intl.DateTimeFormat("en", {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
});

const WORDS = { gave_up: "gave up" };

export function log(section) {
  const list = h("ol", { class: "log", role: "log", "data-testid": "log", "aria-label": "Log" });
  const empty = h("p", { class: "muted empty" }, "Nothing has happened yet.");
  section.append(h("h2", { id: "log-title" }, "Log"), empty, list);

  function add(event) {
    empty.hidden = true;
    list.prepend(entry(event));
    if (list.children.length > ENTRIES_MAX) list.lastChild.remove();
  }

  return { add };
}

function entry({ agent, node, kind, reason, traceback, timestamp }) {
  const when = new Date(timestamp * 1000);
  const element = h(
    "li",
    { "data-testid": "log-entry", "data-kind": kind, "data-agent": agent },
    h("time", { class: "muted number", datetime: when.toISOString() }, time.format(when)),
    h("span", { class: "badge", "data-kind": kind }, WORDS[kind] ?? kind),
    h("span", { class: "id" }, agent),
    h("span", { class: "muted" }, `on ${node}`),
  );
  const why = [reason?.type, reason?.message].filter(Boolean).join(": ");
  if (why && kind !== "restarted") element.append(h("span", { class: "why" }, why));
  if (traceback && kind === "crashed") element.append(details(traceback));
  return element;
}

function details(text) {
  const copy = h("button", { class: "small" }, "Copy");
  copy.addEventListener("click", async () => {
    await navigator.clipboard.writeText(text);
    write(copy, "Copied");
  });
  const pre = h("pre", { tabindex: 0 }, text);
  return h("details", {}, h("summary", {}, "Traceback"), pre, copy);
}
