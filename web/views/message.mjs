// The dialog that sends a message to an agent and shows its reply.

import { h, write } from "./dom.mjs";

const EXAMPLE = '{"type": "report"}';

/**
 * @param {import("../agents.mjs").Runtime} runtime
 * @returns {{open: (agent: string) => void}}
 */
export function messageDialog(runtime) {
  let agent = "";
  let turn = 0; // of openings and messages: an answer to anything but the last is shown to nobody
  const title = h("h2", { id: "message-title" });
  const input = h("textarea", {
    id: "message-input",
    "data-testid": "message-input",
    rows: 5,
    spellcheck: "false",
    "aria-describedby": "message-hint",
  });
  const hint = h("p", { id: "message-hint", class: "muted" });
  const result = h("pre", { "data-testid": "message-result", role: "status", tabindex: 0 });
  const ask = h("button", { "data-testid": "message-ask", class: "primary", onclick: doAsk }, "Ask");
  const tell = h("button", { "data-testid": "message-tell", onclick: doTell }, "Tell");
  const close = h("button", { onclick: () => dialog.close() }, "Close");
  const dialog = h(
    "dialog",
    { "aria-labelledby": "message-title" },
    title,
    h("label", { for: "message-input" }, "Message, as JSON"),
    input,
    hint,
    h("div", { class: "row" }, ask, tell, close),
    result,
  );
  document.body.append(dialog);
  input.value = EXAMPLE;
  input.addEventListener("input", read);

  function open(id) {
    agent = id;
    turn++;
    write(title, `Message to ${id}`);
    show("");
    read();
    dialog.showModal();
    input.focus();
  }

  /** The payload; undefined, with the reason at the field, if it is not JSON. */
  function read() {
    try {
      const payload = JSON.parse(input.value);
      say("Its type names the handler.");
      return payload;
    } catch (error) {
      say(error.message, true);
      return undefined;
    }
  }

  function say(text, bad = false) {
    write(hint, text);
    hint.dataset.bad = bad;
    input.setAttribute("aria-invalid", bad);
    ask.disabled = tell.disabled = bad;
  }

  function show(text, bad = false) {
    write(result, text);
    result.dataset.bad = bad;
    result.hidden = !text;
  }

  function doAsk() {
    return send(async (payload) => JSON.stringify(await runtime.ask(agent, payload), null, 2));
  }

  function doTell() {
    return send((payload) => runtime.tell(agent, payload).then(() => "sent"));
  }

  async function send(action) {
    const payload = read();
    if (payload === undefined) return;
    const mine = ++turn;
    ask.disabled = tell.disabled = true;
    show("…");
    let answer;
    try {
      answer = [await action(payload), false];
    } catch (error) {
      answer = [`${error.name}: ${error.message}`, true];
    }
    if (mine !== turn) return;
    ask.disabled = tell.disabled = false;
    show(...answer);
  }

  return { open };
}
