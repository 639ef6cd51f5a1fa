// A page with one runtime; what is after `?` goes to `start`.
import { start } from "/agents.mjs";

const options = Object.fromEntries(new URLSearchParams(location.search));
if ("awake" in options) options.awake = options.awake === "true";
for (const name of ["patience", "pingInterval"]) {
  if (name in options) options[name] = Number(options[name]);
}
const config = await (await fetch("/config.json")).json();
self.phases = [];
self.statuses = [];
self.restart = () => {
  self.runtime = start({ config, ...options });
  runtime.addEventListener("phase", ({ detail }) => phases.push(detail.phase));
  runtime.addEventListener("status", ({ detail }) => statuses.push(detail.status));
};
restart();
self.refusal = (promise) => promise.then(() => "none", ({ name }) => name);
self.read = () => runtime.ask(`diary-${runtime.node}`, { type: "read" });
