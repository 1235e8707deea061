/**
 * What V8 is told while a program is loaded, which is when most of its code runs once and most of what it allocates stays.
 * Both are taken for signs of work to come: the space for young objects grows to 32 MB, and code that has done its part is
 * optimized, for which 7 to 15 MB of compiler come into memory. Neither is given back, and a process at rest needs neither.
 */
import { setFlagsFromString } from "node:v8";

const opt = { loading: "--no-opt", working: "--opt" } as const;
const maglev = { loading: "--no-maglev", working: "--maglev" } as const;
const sparkplug = { loading: "--no-sparkplug", working: "--sparkplug" } as const;
const young = { loading: "--semi-space-growth-factor=1", working: "--semi-space-growth-factor=2" } as const;

/** From this version of Node on V8 uses its compiler Maglev unless it is told not to. */
const maglevSince = 24;

let begun: readonly { readonly loading: string; readonly working: string }[] = [];

/**
 * Call it before the program is loaded. `nodeOptions` are the flags that Node was started with: compilers that somebody
 * switched on or off stay as they are.
 */
export function beginLoading(nodeOptions: string): void {
  begun = /opt\b|maglev|sparkplug|turbo|jitless/.test(nodeOptions) ? [young] : [young, opt, sparkplug, ...maglevHere()];
  for (const { loading } of begun) setFlagsFromString(loading);
}

/** Call it before code is used so that it be optimized. The space for young objects stays small until `endLoading`. */
export function beginWarming(): void {
  for (const flag of begun) if (flag !== young) setFlagsFromString(flag.working);
}

/** Call it when the program is ready to work: from now on its code is optimized and its memory grows as work needs. */
export function endLoading(): void {
  for (const { working } of begun) setFlagsFromString(working);
}

function maglevHere() {
  return Number.parseInt(process.versions.node, 10) < maglevSince ? [] : [maglev];
}
