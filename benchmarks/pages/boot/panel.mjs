// Takes the time of the page's start, and of a further worker; the times count from the navigation.
import { start } from "/agents.mjs";

const echo = (runtime) => runtime.ask(`echo-${runtime.node}`, { type: "echo" });

const kept = async () => {
  const { dataset } = document.documentElement;
  while (dataset.kept === undefined) await new Promise((resolve) => setTimeout(resolve, 50));
  return dataset.kept;
};

export function mount(_, runtime) {
  measure(runtime).catch((error) => ({ error: String(error.stack) })).then((found) =>
    fetch("/answer", { method: "POST", body: JSON.stringify(found) }),
  );
}

async function measure(runtime) {
  await echo(runtime);
  const page = performance.now();
  const { from } = document.documentElement.dataset;
  if ((await kept()) !== "true") throw new Error("the page was not kept");
  const config = await (await fetch("/config.json")).json();
  const began = performance.now();
  const further = start({ config });
  await further.running;
  await echo(further);
  return { page, from, further: performance.now() - began };
}
