// Runs Python inside Pyodide. A page imports it and calls `run`; as a worker's script it takes one
// order by message, and answers.
//
// An order: {pyodide, wheels, snapshot, archives: [[URL, folder]], python, suspends}. `python` is run,
// and its last expression, a string, is the answer. `suspends: false` is a browser without JSPI.

export async function run({ archives, python, suspends, ...order }) {
  if (!suspends) delete WebAssembly.Suspending;
  const py = await (order.snapshot ? restored(order) : started(order));
  for (const [archive, folder] of archives) {
    const response = await fetch(archive);
    py.FS.mkdirTree(folder);
    py.unpackArchive(await response.arrayBuffer(), "zip", { extractDir: folder });
  }
  return await py.runPythonAsync(python);
}

async function started({ pyodide, wheels }) {
  const { loadPyodide } = await import(`${pyodide}pyodide.mjs`);
  return loadPyodide({ packages: wheels, stdout: () => {} });
}

async function restored({ pyodide, wheels: [wheel, ...others], snapshot }) {
  const { startPython } = await import("/python.mjs");
  const config = { pyodide, wheel, snapshot, files: { [snapshot]: "" } };
  const { pyodide: py, from } = await startPython({ config });
  if (from !== "snapshot") throw new Error("the snapshot was not restored");
  py.setStdout({});
  await py.loadPackage(others);
  return py;
}

if (typeof document === "undefined") {
  addEventListener("message", ({ data }) => {
    run(data).then(
      (answer) => postMessage({ answer }),
      (error) => postMessage({ error: String(error) }),
    );
  });
}
