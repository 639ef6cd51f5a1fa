/**
 * Options for `loadPyodide` by which Python imports from a wheel as it is, without unpacking it.
 *
 * @param {string} name the wheel's file name
 * @param {Uint8Array | Promise<Uint8Array>} bytes
 */
export function withWheel(name, bytes) {
  const path = `/lib/${name}`;
  return { fsInit: async (FS) => FS.writeFile(path, await bytes), env: { PYTHONPATH: path } };
}
