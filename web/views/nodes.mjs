// The agents of all nodes. Rows are updated in place, so that focus and selection stay.

import { h, write } from "./dom.mjs";

const COLUMNS = ["Agent", "State", "Mailbox", "Handled", "Restarts"];

/**
 * @param {HTMLElement} section
 * @param {object} actions `own()`: this tab's node; `control(agent, action)`; `message(agent)`
 */
export function nodes(section, actions) {
  const groups = new Map();
  const total = h("span", { class: "muted number" });
  const list = h("div", { class: "groups" });
  const title = h("h2", { id: "nodes-title" }, "Agents");
  section.append(h("div", { class: "row between" }, title, total), list);

  function update(found) {
    const names = new Set(found.map((info) => info.node));
    for (const [name, group] of groups) {
      if (!names.has(name)) {
        group.element.remove();
        groups.delete(name);
      }
    }
    for (const info of found) {
      if (!groups.has(info.node)) {
        const group = nodeGroup(info, actions);
        groups.set(info.node, group);
        list.append(group.element);
      }
      groups.get(info.node).update(info);
    }
    const agents = found.reduce((sum, info) => sum + info.agents.length, 0);
    write(total, `${agents} on ${found.length} ${found.length === 1 ? "node" : "nodes"}`);
  }

  return { update };
}

function nodeGroup(first, actions) {
  const rows = new Map();
  const state = h("span", { class: "muted" });
  const body = h("tbody");
  const empty = h("p", { class: "muted empty" }, "No agents here.");
  const where = hostOf(first, actions.own());
  const head = h("thead", {}, h("tr", {}));
  for (const name of COLUMNS) head.firstChild.append(h("th", { scope: "col" }, name));
  head.firstChild.append(h("th", { scope: "col" }, h("span", { class: "hidden" }, "Actions")));
  const caption = h("caption", {}, h("span", { class: "host" }, where), ` ${first.node} `, state);
  const element = h("div", { "data-node": first.node }, h("table", {}, caption, head, body), empty);

  function update(info) {
    write(state, info.bus.status === "connected" ? "" : (info.bus.status ?? ""));
    const ids = new Set(info.agents.map((agent) => agent.id));
    for (const [id, row] of rows) {
      if (!ids.has(id)) {
        row.element.remove();
        rows.delete(id);
      }
    }
    for (const agent of info.agents) {
      if (!rows.has(agent.id)) {
        const row = agentRow(info.node, agent, actions);
        rows.set(agent.id, row);
        body.append(row.element);
      }
      rows.get(agent.id).update(agent);
    }
    empty.hidden = info.agents.length > 0;
  }

  return { element, update };
}

function hostOf(info, own) {
  if (info.node === own) return "this tab";
  return info.host === "browser" ? "another tab" : "server";
}

function agentRow(node, { id, type }, actions) {
  const badge = h("span", { class: "badge" });
  const mailbox = number("Mailbox");
  const handled = number("Handled");
  const restarts = number("Restarts");
  const button = (label, name, action) => {
    const properties = { class: "small", "data-testid": name, "aria-label": `${label} ${id}` };
    return h("button", { ...properties, onclick: action }, label);
  };
  const element = h(
    "tr",
    { "data-testid": "agent-row", "data-agent": id, "data-node": node },
    h("th", { scope: "row" }, h("span", { class: "id" }, id), h("span", { class: "type" }, type)),
    h("td", { "data-label": "State" }, badge),
    mailbox,
    handled,
    restarts,
    h(
      "td",
      { class: "actions" },
      button("Message", "message", () => actions.message(id)),
      button("Crash", "crash", () => actions.control(id, "kill")),
      button("Stop", "stop", () => actions.control(id, "stop")),
    ),
  );

  function update(agent) {
    Object.assign(element.dataset, {
      state: agent.state,
      restarts: agent.restarts,
      handled: agent.handled,
    });
    badge.dataset.state = agent.state;
    write(badge, agent.state);
    write(mailbox, agent.mailbox);
    write(handled, agent.handled.toLocaleString("en"));
    write(restarts, agent.restarts);
  }

  return { element, update };
}

const number = (label) => h("td", { class: "number", "data-label": label });
