/**
 * V8 flags for the time in which a program is loaded. Most code then runs once, and most allocations stay. V8 takes
 * both for signs of work to come: it lets the space for young objects grow to 32 MB, and optimizes code that has done
 * its part, which loads 7 to 15 MB of compiler. Neither is released again, and an idle process needs neither.
 */
import { setFlagsFromString } from "node:v8";

const opt = { loading: "--no-opt", working: "--opt" } as const;
const maglev = { loading: "--no-maglev", working: "--maglev" } as const;
const sparkplug = { loading: "--no-sparkplug", working: "--sparkplug" } as const;
const young = { loading: "--semi-space-growth-factor=1", working: "--semi-space-growth-factor=2" } as const;

/** The version of Node from which on V8 uses its compiler Maglev by default. */
const maglevSince = 24;

let begun: readonly { readonly loading: string; readonly working: string }[] = [];

/**
 * Restricts V8. Call it before the program is loaded. `nodeOptions`: the flags that Node was started with; compilers
 * that these switch on or off are left as they are.
 */
export function beginLoading(nodeOptions: string): void {
  begun = /opt\b|maglev|sparkplug|turbo|jitless/.test(nodeOptions) ? [young] : [young, opt, sparkplug, ...maglevHere()];
  for (const { loading } of begun) setFlagsFromString(loading);
}

/**
 * Lets V8 optimize. Call it before code runs in order to be optimized. The space for young objects stays small until
 * `endLoading`.
 */
export function beginWarming(): void {
  for (const flag of begun) if (flag !== young) setFlagsFromString(flag.working);
}

/** Lifts all restrictions. Call it when the program is ready: its memory then grows as its work needs. */
export function endLoading(): void {
  for (const { working } of begun) setFlagsFromString(working);
}

function maglevHere() {
  return Number.parseInt(process.versions.node, 10) < maglevSince ? [] : [maglev];
}
