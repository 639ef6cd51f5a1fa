// Runs Python inside Pyodide. A page imports it and calls `run`; as a worker's script it takes one
// order by message, and answers.
//
// An order: {pyodide, wheels, archives: [[URL, folder]], python, suspends}. `python` is run, and its
// last expression, a string, is the answer. `suspends: false` is a browser without JSPI.

export async function run({ pyodide, wheels, archives, python, suspends }) {
  if (!suspends) delete WebAssembly.Suspending;
  const { loadPyodide } = await import(`${pyodide}pyodide.mjs`);
  const py = await loadPyodide({ packages: wheels, stdout: () => {} });
  for (const [archive, folder] of archives) {
    const response = await fetch(archive);
    py.FS.mkdirTree(folder);
    py.unpackArchive(await response.arrayBuffer(), "zip", { extractDir: folder });
  }
  return await py.runPythonAsync(python);
}

if (typeof document === "undefined") {
  addEventListener("message", ({ data }) => {
    run(data).then(
      (answer) => postMessage({ answer }),
      (error) => postMessage({ error: String(error) }),
    );
  });
}
