addEventListener("message", async ({ data: { pyodide, wheel } }) => {
  try {
    const { loadPyodide } = await import(`${pyodide}pyodide.mjs`);
    const python = await loadPyodide({ packages: [new URL(wheel, location.href).href] });
    python.runPython("import agents_browser.platform, agents_browser.tab, agents_core.nats");
    postMessage(null);
  } catch (error) {
    postMessage(String(error.stack));
  }
});
