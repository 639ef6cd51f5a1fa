// node take_snapshot.mjs PYODIDE WHEEL FILE: take a snapshot, when the project is built.
//
// PYODIDE is a folder.

import { readFile, writeFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";
import { take } from "../snapshot.mjs";
import { withWheel } from "../wheel.mjs";

const [folder, wheel, file] = process.argv.splice(1).slice(1); // Python would keep the paths
const { loadPyodide } = await import(pathToFileURL(`${folder}/pyodide.mjs`));
const options = withWheel(wheel.split("/").pop(), new Uint8Array(await readFile(wheel)));
await writeFile(file, await take(loadPyodide, options));
