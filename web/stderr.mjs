// What Python writes to stderr, in the console: all that comes in one turn is one warning, so a traceback
// is a message, and not as many as it has lines.

const CHARS_MAX = 64 * 1024; // of one message; what is longer becomes several

/** Have this Pyodide's stderr written so. */
export function joinStderr(pyodide) {
  const decoder = new TextDecoder();
  let text = "";

  function flush() {
    const written = text.replace(/\n$/, "");
    text = "";
    for (let begin = 0; begin < written.length; begin += CHARS_MAX) {
      console.warn(written.slice(begin, begin + CHARS_MAX));
    }
  }

  function write(bytes) {
    if (!text) queueMicrotask(flush); // which runs when Python gives the browser its turn
    text += decoder.decode(bytes, { stream: true });
    if (text.length >= CHARS_MAX) flush();
    return bytes.length;
  }

  pyodide.setStderr({ write });
}
