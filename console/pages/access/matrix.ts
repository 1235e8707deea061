/** Builds the table of who may call what: callers are rows, services or methods are columns. */
import type { AccessChange } from "../../api/messages.js";
import { counted } from "../../format/amounts.js";

/** Returns what was left out because there was no room: "120 services more". Leaves out counts that are zero. */
export function renderLeftOff(callers: number, columns: number, column: "service" | "method"): string {
  const parts = [callers > 0 && counted(callers, "caller"), columns > 0 && counted(columns, column)];
  return `${parts.filter(Boolean).join(" and ")} more`;
}

export type CellKind = "allowed" | "conditional" | "denied";

export interface Cell {
  readonly kind: CellKind;
  /** The condition in CEL. Empty: there is none, or the cell stands for several methods. */
  readonly text: string;
  /** How many methods the caller may call. */
  readonly count: number;
}

export interface Matrix {
  readonly columns: readonly string[];
  readonly rows: readonly { readonly caller: string; readonly cells: readonly Cell[] }[];
  /** How many callers and columns were left out. */
  readonly callersLeftOff: number;
  readonly columnsLeftOff: number;
}

/** The most rows. More cannot be read, and a browser would become slow. */
export const callersMax = 80;
export const columnsMax = 40;

const denied: Cell = { kind: "denied", text: "", count: 0 };

/**
 * Builds the table from the difference between a revision and an empty policy. With a service, columns are methods;
 * else they are services. `search` chooses callers and columns by name.
 */
export function buildMatrix(allowed: readonly AccessChange[], service: string, search: string): Matrix {
  const own = allowed.filter((entry) => entry.after !== "denied" && (service === "" || entry.service === service));
  const columnOf = (entry: AccessChange): string => (service === "" ? entry.service : entry.method);
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const fits = (name: string): boolean => words.every((word) => name.toLowerCase().includes(word));
  const columns = sorted(own.map(columnOf));
  const callers = sorted(own.map(({ caller }) => caller));
  const someColumn = columns.some(fits);
  const someCaller = callers.some(fits);
  // Words that name callers choose rows, words that name services choose columns; words that name neither leave
  // nothing.
  const shownColumns = someColumn && !someCaller ? columns.filter(fits) : columns;
  const shownCallers = someCaller ? callers.filter(fits) : someColumn ? callers : [];
  const cells = new Map<string, AccessChange[]>();
  for (const entry of own) {
    const key = `${entry.caller}\n${columnOf(entry)}`;
    const there = cells.get(key);
    if (there === undefined) cells.set(key, [entry]);
    else there.push(entry);
  }
  const columnsCut = shownColumns.slice(0, columnsMax);
  const rows = shownCallers
    .map((caller) => ({ caller, cells: columnsCut.map((column) => cellOf(cells.get(`${caller}\n${column}`) ?? [])) }))
    .filter(({ cells: row }) => row.some(({ kind }) => kind !== "denied"));
  return {
    columns: columnsCut,
    rows: rows.slice(0, callersMax),
    callersLeftOff: Math.max(0, rows.length - callersMax),
    columnsLeftOff: shownColumns.length - columnsCut.length,
  };
}

/** Sorts names. "*", which stands for everyone else, comes last. */
function sorted(names: readonly string[]): readonly string[] {
  return [...new Set(names)].sort((a, b) => (a === "*" ? 1 : b === "*" ? -1 : a < b ? -1 : 1));
}

function cellOf(entries: readonly AccessChange[]): Cell {
  if (entries.length === 0) return denied;
  const free = entries.filter(({ after }) => after === "allowed");
  const kind = free.length > 0 ? "allowed" : "conditional";
  const condition = kind === "conditional" && entries.length === 1 ? (entries[0]?.after ?? "") : "";
  return { kind, text: condition, count: entries.length };
}
