// The word count's part of the page: how far it is, who did how much, and the words.
//
// Everything shown comes from the totals: `report` at first, then what they publish. Text goes in
// by `textContent`, widths by CSSOM, as the page's policy allows neither markup nor style attributes
// made of data.

const MISSING =
  "There is no word count here. Its splitter and its totals run on a server node: " +
  "agents up --example wordcount";

/**
 * Build the panel.
 *
 * @param {HTMLElement} element what it fills
 * @param {EventTarget} runtime see /agents.mjs
 * @returns {() => void} takes the panel away again
 */
export function mount(element, runtime) {
  const panel = new Panel(element, runtime);
  return () => panel.unmount();
}

class Panel {
  #runtime;
  #root;
  #leave = new AbortController();
  #subscribed;
  #parts = {};
  #report = null; // what the totals said last
  #hosts = new Map(); // agent id: server or browser, of the agents that run now
  #connected = false;
  #announced = ""; // the run whose end was said
  #table = { run: "", rows: [] };

  constructor(element, runtime) {
    this.#runtime = runtime;
    this.#root = node("section", { className: "wordcount" });
    this.#root.setAttribute("aria-label", "Word count");
    this.#root.append(this.#header(), this.#progress(), this.#figures(), this.#columns());
    element.replaceChildren(this.#root);
    this.#show("empty", "Waiting for the first counter…");
    this.#listen();
  }

  unmount() {
    this.#leave.abort();
    this.#subscribed.then((unsubscribe) => unsubscribe?.());
    this.#root.remove();
  }

  // -- what it is made of

  #header() {
    const { again, crash } = Object.assign(this.#parts, {
      again: button("Count again", () => this.#do(() => this.#again())),
      crash: button("Crash this tab’s counter", () => this.#do(() => this.#crash())),
    });
    const badge = (this.#parts.badge = node("span", { className: "wordcount-badge", hidden: true }));
    const title = node("div", { className: "wordcount-title" });
    title.append(node("h2", { textContent: "Word count" }), badge);
    const buttons = node("div", { className: "wordcount-buttons" });
    buttons.append(again, crash);
    const header = node("header");
    header.append(title, buttons);
    return header;
  }

  #progress() {
    const bar = (this.#parts.bar = node("progress", { max: 1, value: 0 }));
    bar.setAttribute("aria-label", "Chunks counted");
    const text = (this.#parts.text = node("p", { className: "wordcount-state" }));
    // Read out when something is to be said: not at each chunk, but at the end and on failure.
    const said = (this.#parts.said = node("p", { className: "wordcount-said" }));
    said.setAttribute("role", "status");
    said.setAttribute("aria-live", "polite");
    const box = node("div", { className: "wordcount-progress" });
    box.append(bar, text, said);
    return box;
  }

  #figures() {
    const list = node("dl", { className: "wordcount-figures" });
    for (const [key, label] of FIGURES) {
      const value = (this.#parts[key] = node("dd", { textContent: "–" }));
      const pair = node("div");
      pair.append(node("dt", { textContent: label }), value);
      list.append(pair);
    }
    return list;
  }

  #columns() {
    this.#parts.counters = new Bars("Who counted how much", ["Counter", "Words", "Chunks"]);
    this.#parts.top = new Bars("Most frequent words", ["Word", "Count"]);
    const words = node("div", { className: "wordcount-words", tabIndex: 0 });
    words.setAttribute("role", "group");
    words.setAttribute("aria-label", "Words, scrollable");
    words.append(this.#parts.top.element);
    const columns = node("div", { className: "wordcount-columns" });
    columns.append(this.#parts.counters.element, words);
    return columns;
  }

  // -- what it hears

  #listen() {
    const runtime = this.#runtime;
    const options = { signal: this.#leave.signal };
    this.#subscribed = runtime
      .subscribe("wordcount.progress", (report) => this.#take(report))
      .catch((error) => void this.#say(`${error.name}: ${error.message}`));
    runtime.addEventListener("nodes", ({ detail }) => this.#takeNodes(detail), options);
    runtime.addEventListener("status", ({ detail }) => this.#takeStatus(detail), options);
    runtime.addEventListener("phase", ({ detail }) => this.#takePhase(detail.phase), options);
    if (runtime.phase === "running") this.#refresh();
  }

  #takePhase(phase) {
    if (phase === "running") this.#refresh();
    if (phase === "failed" || phase === "stopped") {
      this.#show("error", "Python has stopped in this tab; the others go on without it.");
    }
  }

  #takeStatus({ status }) {
    const back = status === "connected" && !this.#connected;
    this.#connected = status === "connected";
    if (back) this.#refresh();
  }

  #takeNodes(nodes) {
    const before = this.#hosts.has("totals");
    this.#hosts.clear();
    for (const { host, agents } of nodes) {
      for (const { id } of agents) this.#hosts.set(id, host);
    }
    if (this.#hosts.has("totals") && (!before || !this.#report)) this.#refresh();
    else if (this.#report) this.#paint();
  }

  async #refresh() {
    try {
      this.#take(await this.#runtime.ask("totals", { type: "report" }));
    } catch (error) {
      if (this.#leave.signal.aborted || this.#report) return; // what is shown is the last known
      const missing = error.name === "AgentNotFound" || error.name === "NotConnected";
      this.#show("error", missing ? MISSING : `The totals do not answer: ${error.message}`);
    }
  }

  #take(report) {
    this.#report = report;
    this.#paint();
  }

  // -- what it does

  async #do(action) {
    try {
      await action();
    } catch (error) {
      this.#say(error.name === "AgentNotFound" ? MISSING : `${error.name}: ${error.message}`);
    }
  }

  async #again() {
    this.#say("");
    await this.#runtime.ask("splitter", { type: "start" });
  }

  /** The run is over: get the final table, longer than what is published as it grows. */
  async #finish() {
    const table = await this.#runtime.ask("totals", { type: "table", limit: TABLE_ROWS });
    if (!table.done) return; // somebody began another run
    this.#table = table;
    this.#paint();
  }

  async #crash() {
    await this.#runtime.control(`counter-${this.#runtime.node}`, "kill");
    this.#say("This tab’s counter was crashed; its supervisor restarts it.");
  }

  // -- what it shows

  #paint() {
    const { file, chunks, counted, words, distinct, seconds, run, done, exact } = this.#report;
    if (!run) {
      this.#show("empty", `Waiting for the first counter of a tab to count ${fileName(file)}…`);
      return;
    }
    const state = done ? "done" : "counting";
    const away = this.#hosts.size > 0 && !this.#hosts.has("totals");
    const last = away ? " · the server node is away, this is what it said last" : "";
    this.#show(state, `${counted} of ${chunks} chunks of ${fileName(file)}${last}`);
    this.#parts.bar.max = chunks;
    this.#parts.bar.value = counted;
    this.#parts.words.textContent = number(words);
    this.#parts.distinct.textContent = number(distinct);
    this.#parts.seconds.textContent = `${seconds.toFixed(1)} s`;
    this.#parts.rate.textContent = seconds > 0 ? `${number(Math.round(words / seconds))}/s` : "–";
    this.#paintBadge(done, exact);
    this.#parts.counters.show(this.#counters());
    this.#paintWords(this.#table.run === run ? this.#table.rows : this.#report.top);
    if (done && exact !== null && this.#announced !== run) {
      this.#announced = run;
      this.#say(`Counted ${number(words)} words in ${seconds.toFixed(1)} seconds. ${verdict(exact)}`);
      this.#do(() => this.#finish());
    }
  }

  #paintWords(rows) {
    const of = `The ${rows.length} most frequent of ${number(this.#report.distinct)} words`;
    this.#parts.top.caption.textContent = rows.length ? of : "Most frequent words";
    this.#parts.top.show(rows.map(([word, n], place) => ({ key: place, label: word, value: n })));
  }

  #paintBadge(done, exact) {
    const { badge } = this.#parts;
    badge.hidden = !done || exact === null;
    badge.classList.toggle("wordcount-bad", exact === false);
    badge.textContent = exact ? "exact" : "not exact";
    badge.title = verdict(exact);
  }

  #counters() {
    const rows = Object.entries(this.#report.counters).map(([id, { chunks, words }]) => {
      const label = id.replace(/^counter-/, "");
      const own = label === this.#runtime.node;
      const gone = !own && !this.#hosts.has(id);
      const note = own ? "this tab" : gone ? "gone" : HOSTS[this.#hosts.get(id)];
      return { key: id, label, note, own, gone, value: words, detail: number(chunks) };
    });
    return rows.sort((a, b) => a.key.localeCompare(b.key));
  }

  #show(state, text) {
    const root = this.#root;
    root.dataset.state = state;
    this.#parts.text.textContent = text;
    this.#parts.text.role = state === "error" ? "alert" : null;
    this.#parts.again.disabled = state === "error";
    this.#parts.crash.disabled = state === "error";
  }

  #say(text) {
    this.#parts.said.textContent = text;
  }
}

const TABLE_ROWS = 200; // of the final table; more are for `{"type": "table"}`
const FIGURES = [
  ["words", "words"],
  ["distinct", "different"],
  ["seconds", "time"],
  ["rate", "speed"],
];
const HOSTS = { server: "server", browser: "tab" };

/** A table with a bar behind each row; the widest is the largest value. */
class Bars {
  #body = node("tbody");
  #rows = new Map();

  constructor(caption, columns) {
    const head = node("tr");
    for (const column of columns) {
      const cell = node("th", { textContent: column });
      cell.scope = "col";
      head.append(cell);
    }
    const thead = node("thead");
    thead.append(head);
    this.element = node("table", { className: "wordcount-bars" });
    this.caption = node("caption", { textContent: caption });
    this.element.append(this.caption, thead, this.#body);
  }

  /** Show rows {key, label, value} with, if wanted, note, detail, own and gone. */
  show(rows) {
    const most = Math.max(1, ...rows.map(({ value }) => value));
    const keys = new Set(rows.map(({ key }) => key));
    for (const [key, { row }] of this.#rows) {
      if (keys.has(key)) continue;
      row.remove();
      this.#rows.delete(key);
    }
    rows.forEach((data, index) => {
      const made = this.#rows.get(data.key) ?? this.#make(data);
      this.#fill(made, data, most);
      if (this.#body.children[index] !== made.row) {
        this.#body.insertBefore(made.row, this.#body.children[index] ?? null);
      }
    });
  }

  #make({ key, detail }) {
    const row = node("tr");
    const name = node("th");
    name.scope = "row";
    const bar = node("span", { className: "wordcount-bar" });
    bar.setAttribute("aria-hidden", "true");
    const text = node("span", { className: "wordcount-label" });
    const note = node("small");
    name.append(bar, text, " ", note);
    const value = node("td");
    row.append(name, value);
    const last = detail === undefined ? null : node("td");
    if (last) row.append(last);
    const made = { row, bar, text, note, value, last };
    this.#rows.set(key, made);
    return made;
  }

  #fill({ row, bar, text, note, value, last }, data, most) {
    text.textContent = text.title = data.label;
    bar.style.setProperty("--share", `${(100 * data.value) / most}%`);
    note.textContent = data.note ?? "";
    note.hidden = !data.note;
    row.classList.toggle("wordcount-own", data.own === true);
    row.classList.toggle("wordcount-gone", data.gone === true);
    value.textContent = number(data.value);
    if (last) last.textContent = data.detail;
  }
}

function node(tag, properties = {}) {
  return Object.assign(document.createElement(tag), properties);
}

function button(text, action) {
  const made = node("button", { type: "button", textContent: text });
  made.addEventListener("click", action);
  return made;
}

function verdict(exact) {
  return exact
    ? "The result equals collections.Counter over the whole file."
    : "The result differs from collections.Counter over the whole file.";
}

const number = (value) => value.toLocaleString("en");
const fileName = (path) => path.split(/[\\/]/).pop();
