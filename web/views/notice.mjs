// One line about what was just done; it goes away by itself.

import { write } from "./dom.mjs";

const SHOWN_MS = 4000;

export function notice(element) {
  let timer;
  return (text, { bad = false } = {}) => {
    write(element, text);
    element.dataset.bad = bad;
    element.hidden = false;
    clearTimeout(timer);
    timer = setTimeout(() => (element.hidden = true), SHOWN_MS);
  };
}
