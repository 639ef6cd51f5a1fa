// Runs a piece of Python in Pyodide, in a worker: with this project's wheel, files of the test's,
// and JavaScript modules under the names that Python imports them by.
import { loadPyodide } from "/pyodide/pyodide.mjs";

addEventListener("message", async ({ data: { wheel, modules, values, python } }) => {
  try {
    const pyodide = await loadPyodide({ packages: [new URL(wheel, location.href).href] });
    for (const [name, path] of Object.entries(modules))
      pyodide.registerJsModule(name, await import(path));
    const files = await (await fetch("/files.zip")).arrayBuffer();
    pyodide.unpackArchive(files, "zip", { extractDir: "/project" });
    pyodide.globals.set("values", pyodide.toPy(values));
    pyodide.runPython("import sys; sys.path.insert(0, '/project')");
    postMessage({ result: await pyodide.runPythonAsync(python) });
  } catch (error) {
    postMessage({ error: String(error) });
  }
});
