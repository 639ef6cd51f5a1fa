// A page with one runtime; what is after `?` goes to `start`.
import { start } from "/agents.mjs";

const options = Object.fromEntries(new URLSearchParams(location.search));
if ("awake" in options) options.awake = options.awake === "true";
const config = await (await fetch("/config.json")).json();
self.phases = [];
self.statuses = [];
self.runtime = start({ config, ...options });
runtime.addEventListener("phase", ({ detail }) => phases.push(detail.phase));
runtime.addEventListener("status", ({ detail }) => statuses.push(detail.status));
self.read = () => runtime.ask(`diary-${runtime.node}`, { type: "read" });
