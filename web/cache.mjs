/** Where the service worker keeps files, and a browser the snapshot that it took itself. */
export const CACHE = "agents-core-1"; // sw.mjs has it too, as it may not import
