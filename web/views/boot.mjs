// How far the start is: a bar with named phases and bytes, or why it failed.

import { h, write } from "./dom.mjs";

const PHASES = {
  loading: "Loading Python",
  starting: "Starting Python",
  connecting: "Connecting to NATS",
  spawning: "Starting agents",
  running: "Running",
};

// What a phase takes of the bar; loading is by far the longest and is shown by its bytes.
const SHARE = { loading: 0, starting: 80, connecting: 92, spawning: 96, running: 100 };

const megabytes = (bytes) => (bytes / 1e6).toFixed(1);

/** @returns what the start is told: expect, progress, enter, fail */
export function boot(section, { onRetry }) {
  const files = new Map();
  let expected = 0;

  const name = h("strong", { "data-testid": "boot-phase", "aria-live": "polite" });
  const bytes = h("span", { class: "muted number" });
  const bar = h("progress", { max: 100, value: 0, "data-testid": "boot-progress" });
  bar.setAttribute("aria-label", "Progress of the start");
  const steps = h("ol", { class: "steps", "aria-hidden": "true" });
  for (const [phase, label] of Object.entries(PHASES)) {
    if (phase !== "running") steps.append(h("li", { "data-step": phase }, label));
  }
  const line = h("div", { class: "boot-line" }, name, bytes);
  section.append(line, bar, steps);
  enter("loading");

  function enter(phase) {
    section.hidden = phase === "running";
    if (!(phase in PHASES)) return;
    write(name, PHASES[phase]);
    bar.value = Math.max(bar.value, SHARE[phase]);
    const order = Object.keys(PHASES);
    for (const step of steps.children) {
      const distance = order.indexOf(step.dataset.step) - order.indexOf(phase);
      step.dataset.state = distance < 0 ? "done" : distance === 0 ? "now" : "later";
    }
    if (phase !== "loading") write(bytes, "");
  }

  function progress({ file, loaded, total }) {
    files.set(file, { loaded, total });
    const sum = (key) => [...files.values()].reduce((all, found) => all + found[key], 0);
    const all = Math.max(expected, sum("total"), sum("loaded"));
    write(bytes, `${megabytes(sum("loaded"))} of ${megabytes(all)} MB`);
    bar.value = Math.max(bar.value, (SHARE.starting * sum("loaded")) / all);
  }

  function fail({ phase, message, detail }) {
    section.hidden = false;
    section.dataset.failed = "";
    const title = `${PHASES[phase] ?? "Start"} failed`;
    const retry = h("button", { "data-testid": "retry", class: "primary", onclick: onRetry }, "Try again");
    section.replaceChildren(
      h("div", { role: "alert", "data-testid": "failure" }, h("h2", {}, title), h("p", {}, message)),
      h("div", { class: "row" }, retry),
      h("details", {}, h("summary", {}, "Details"), h("pre", { tabindex: 0 }, detail || message)),
    );
    retry.focus();
  }

  return { expect: (total) => (expected = total ?? 0), progress, enter, fail };
}
