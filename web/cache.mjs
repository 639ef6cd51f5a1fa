/** Where the service worker keeps files. */
export const CACHE = "agents-core-1"; // sw.mjs has it too, as it may not import
