// Elements without markup: h("p", {class: "hint", "aria-label": "…"}, "text", child, …).
// A function as `onclick` becomes a listener; text goes in as text, never as HTML.

export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** Set an element's text, if it is another one: rewriting it would lose a selection. */
export function write(element, text) {
  if (element.textContent !== String(text)) element.textContent = text;
}
