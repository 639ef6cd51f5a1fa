// Runs pytest inside Pyodide, in a worker, with the tests and the tools from two archives.
import { loadPyodide } from "/pyodide/pyodide.mjs";

const PYTHON = `
import json, sys
sys.path[:0] = ["/tools", "/project"]
import pytest

class Collector:
    def __init__(self):
        self.passed, self.failed = [], {}

    def pytest_runtest_logreport(self, report):
        if report.failed:
            self.failed[report.nodeid] = str(report.longrepr)
        elif report.when == "call" and report.passed:
            self.passed.append(report.nodeid)

    def pytest_collectreport(self, report):
        if report.failed:
            self.failed[report.nodeid] = str(report.longrepr)

collector = Collector()
code = pytest.main(
    ["-q", "-p", "no:cacheprovider", "--rootdir", "/project", "/project/tests/core"], [collector]
)
json.dumps({"code": int(code), "passed": collector.passed, "failed": collector.failed})
`;

addEventListener("message", async ({ data }) => {
  try {
    const pyodide = await loadPyodide({ packages: data.wheels, stdout: () => {} });
    for (const [archive, folder] of data.archives) {
      const response = await fetch(archive);
      pyodide.FS.mkdirTree(folder);
      pyodide.unpackArchive(await response.arrayBuffer(), "zip", { extractDir: folder });
    }
    pyodide.FS.chdir("/project");
    postMessage(await pyodide.runPythonAsync(PYTHON));
  } catch (error) {
    postMessage(JSON.stringify({ code: -1, passed: [], failed: { boot: String(error) } }));
  }
});
