// agents.d.mts and agents.mjs have to be the same thing: `written` is the copy of the .mjs that the
// test makes, with what TypeScript finds out about it by itself.

import type * as declared from "../../../web/agents.mjs";
import * as written from "./written/agents.mjs";

type Same<A, B> = [Exclude<keyof A, keyof B>, Exclude<keyof B, keyof A>] extends [never, never] ? true : false;
type WrittenRuntime = ReturnType<typeof written.start>;
type WrittenAgent = ReturnType<WrittenRuntime["agent"]>;

export const module: typeof declared = written;
export const exports: Same<typeof declared, typeof written> = true;
export const runtime: Same<declared.Runtime, WrittenRuntime> = true;
export const agent: Same<declared.Agent, WrittenAgent> = true;
