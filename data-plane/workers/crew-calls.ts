/** Sums the call tables of all workers, including those that have ended. */
import { types } from "node:util";
import type { Direction } from "../proxy/proxy-metrics.js";
import { type Exemplar, numbersCount } from "../status/call-kind.js";
import { CallTable, type KindCounts, kindsMax } from "../status/call-table.js";

type PerDirection = Readonly<Record<Direction, number>>;

/** The counts of one worker, as plain data. */
export interface TableCounts {
  readonly kinds: readonly KindCounts[];
  readonly open: PerDirection;
  readonly folded: PerDirection;
}

const directions = ["inbound", "outbound"] as const;
const nameLengthMax = 4096;
const exemplarsMax = 64;

export function tableCounts(table: CallTable): TableCounts {
  const kinds = table.kinds().map(({ direction, by, service, method, version, numbers, exemplars }) => {
    return { direction, by, service, method, version, numbers, exemplars };
  });
  const of = (count: (direction: Direction) => number): PerDirection => ({
    inbound: count("inbound"),
    outbound: count("outbound"),
  });
  return { kinds, open: of((direction) => table.open(direction)), folded: of((direction) => table.folded(direction)) };
}

export class CrewCalls {
  readonly #last = new Map<number, TableCounts>();
  /** The counts of workers that have ended, and of kinds that living workers dropped. */
  #ended = new CallTable();

  take(worker: number, counts: TableCounts): void {
    const kept = new Set(counts.kinds.map(keyOf));
    for (const kind of this.#last.get(worker)?.kinds ?? []) if (!kept.has(keyOf(kind))) this.#ended.add(kind);
    this.#last.set(worker, counts);
  }

  /** Notes that a worker ended. Its counts stay, but none of its calls is open any more. */
  gone(worker: number): void {
    const last = this.#last.get(worker);
    this.#last.delete(worker);
    if (last === undefined) return;
    for (const kind of last.kinds) this.#ended.add(kind);
    for (const direction of directions) this.#ended.addFolded(direction, last.folded[direction]);
  }

  /** Returns how many calls ended in this worker. */
  of(worker: number): number {
    let calls = 0;
    for (const { numbers } of this.#last.get(worker)?.kinds ?? [])
      for (let code = 0; code < 17; code++) calls += numbers[code] ?? 0;
    return calls;
  }

  sum(): CallTable {
    const sum = new CallTable();
    const { kinds, open, folded } = tableCounts(this.#ended);
    for (const part of [{ kinds, open, folded }, ...this.#last.values()]) {
      for (const kind of part.kinds) sum.add(kind);
      for (const direction of directions) {
        sum.addOpen(direction, part.open[direction]);
        sum.addFolded(direction, part.folded[direction]);
      }
    }
    return sum;
  }
}

function keyOf({ direction, by, service, method, version }: KindCounts): string {
  return `${direction} ${by} ${service} ${method} ${version}`;
}

/** Returns whether the value is a valid table of a worker. Workers read strangers' data and are not trusted blindly. */
export function isTable(value: unknown): value is TableCounts {
  if (typeof value !== "object" || value === null) return false;
  const { kinds, open, folded } = value as Partial<TableCounts>;
  if (!isPair(open) || !isPair(folded) || !Array.isArray(kinds)) return false;
  return kinds.length <= 2 * (kindsMax + 1) && kinds.every(isKind);
}

function isPair(value: unknown): boolean {
  const { inbound, outbound } = (value ?? {}) as Partial<PerDirection>;
  return Number.isFinite(inbound) && Number.isFinite(outbound);
}

function isKind(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  const { direction, by, service, method, version, numbers, exemplars } = value as Partial<KindCounts>;
  if (direction !== "inbound" && direction !== "outbound") return false;
  const isNamed = [by, service, method, version].every(
    (name) => typeof name === "string" && name.length <= nameLengthMax,
  );
  const isCounted = types.isFloat64Array(numbers) && numbers.length === numbersCount;
  if (!isNamed || !isCounted || !numbers.every((number) => Number.isFinite(number) && number >= 0)) return false;
  if (exemplars === undefined) return true;
  return Array.isArray(exemplars) && exemplars.length <= exemplarsMax && exemplars.every(isExemplar);
}

function isExemplar(value: unknown): boolean {
  if (value === undefined) return true;
  if (typeof value !== "object" || value === null) return false;
  const { traceId, value: seconds, timeMs } = value as Partial<Exemplar>;
  return /^[0-9a-f]{32}$/.test(String(traceId)) && Number.isFinite(seconds) && Number.isFinite(timeMs);
}
