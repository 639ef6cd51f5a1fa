import { start } from "../agents.mjs";

const [button, output, python] = document.querySelectorAll("button, output, [type$=python]");
const runtime = start();
runtime.addEventListener("phase", ({ detail }) => (output.value = detail.phase));
try {
  await runtime.define("page", python.text);
  const counter = await runtime.spawn("page:Counter", `counter-${runtime.node}`);
  const add = async (n) => (output.value = await counter.ask({ type: "add", n }));
  button.onclick = () => add(1);
  button.disabled = false;
  await add(0);
} catch (error) {
  output.value = error;
}
