import { status } from "@grpc/grpc-js";
import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import type { AnswerReason } from "../proxy/answer.js";
import type { Direction, EndedCall } from "../proxy/proxy-metrics.js";

/** Methods come from callers: past this many, and for calls that were refused, the label is "other". */
const methodsMax = 500;
const codesMax = 17;
const tookName = "ashlar_call_seconds";
const tookHelp = "Duration of ended calls, streams included.";
const directions = ["inbound", "outbound"] as const;
const bucketsSeconds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60];
const bucketsMs = bucketsSeconds.map((seconds) => seconds * 1000);

/** Counts by status of one service's method. */
interface MethodCounts {
  readonly service: string;
  readonly method: string;
  readonly codes: Float64Array;
}

/** The counts of one direction; plain numbers, since every call counts. */
class DirectionCounts {
  open = 0;
  readonly took = new Float64Array(bucketsMs.length + 1);
  tookMs = 0;
  readonly services = new Map<string, Map<string, MethodCounts>>();
  readonly other: MethodCounts = { service: "other", method: "other", codes: new Float64Array(codesMax) };
  readonly refused = new Map<AnswerReason, number>();
  methods = 0;
}

/** Counts calls. A call costs a few additions; texts are built at each scrape. */
export class CallCounts {
  readonly #counts: Readonly<Record<Direction, DirectionCounts>> = {
    inbound: new DirectionCounts(),
    outbound: new DirectionCounts(),
  };

  constructor(registers: Registry[]) {
    const counts = this.#counts;
    new Counter({
      name: "ashlar_calls_total",
      help: "Calls that ended, by the gRPC status that the caller got.",
      labelNames: ["direction", "service", "method", "code"],
      registers,
      collect() {
        this.reset();
        for (const direction of directions) {
          for (const { service, method, codes } of seriesOf(counts[direction])) {
            for (let code = 0; code < codesMax; code++) {
              const count = codes[code] ?? 0;
              if (count > 0) this.inc({ direction, service, method, code: status[code] ?? String(code) }, count);
            }
          }
        }
      },
    });
    new Counter({
      name: "ashlar_refusals_total",
      help: "Calls that the proxy answered itself instead of the application.",
      labelNames: ["direction", "reason"],
      registers,
      collect() {
        this.reset();
        for (const direction of directions)
          for (const [reason, count] of counts[direction].refused) this.inc({ direction, reason }, count);
      },
    });
    new Gauge({
      name: "ashlar_open_streams",
      help: "Open calls.",
      labelNames: ["direction"],
      registers,
      collect() {
        for (const direction of directions) this.set({ direction }, counts[direction].open);
      },
    });
    registers[0]?.registerMetric(new TookHistogram(counts));
  }

  started(direction: Direction): void {
    this.#counts[direction].open++;
  }

  ended(call: EndedCall): void {
    const counts = this.#counts[call.direction];
    const { code, reason, tookMs } = call;
    counts.open--;
    let bucket = 0;
    while (bucket < bucketsMs.length && tookMs > (bucketsMs[bucket] as number)) bucket++;
    counts.took[bucket] = (counts.took[bucket] as number) + 1;
    counts.tookMs += tookMs;
    if (reason !== undefined) counts.refused.set(reason, (counts.refused.get(reason) ?? 0) + 1);
    const { codes } = find(counts, call);
    const place = code >= 0 && code < codesMax ? code : status.UNKNOWN;
    codes[place] = (codes[place] as number) + 1;
  }
}

/** Services and methods earn their labels by a call that was answered: callers make up what they like. */
function find(counts: DirectionCounts, { service, method, code, reason }: EndedCall): MethodCounts {
  let methods = counts.services.get(service);
  const known = methods?.get(method);
  if (known !== undefined) return known;
  const answered = reason === undefined && code !== status.UNIMPLEMENTED && code !== status.CANCELLED;
  if (answered && methods === undefined) {
    methods = new Map([["other", { service, method: "other", codes: new Float64Array(codesMax) }]]);
    counts.services.set(service, methods);
  }
  if (methods === undefined) return counts.other;
  if (!answered || counts.methods >= methodsMax) return methods.get("other") ?? counts.other;
  const fresh: MethodCounts = { service, method, codes: new Float64Array(codesMax) };
  methods.set(method, fresh);
  counts.methods++;
  return fresh;
}

function* seriesOf(counts: DirectionCounts): Generator<MethodCounts> {
  yield counts.other;
  for (const methods of counts.services.values()) yield* methods.values();
}

/** prom-client's form of a histogram over counts that are kept elsewhere. */
class TookHistogram extends Histogram<"direction"> {
  readonly #counts: Readonly<Record<Direction, DirectionCounts>>;

  constructor(counts: Readonly<Record<Direction, DirectionCounts>>) {
    super({
      name: tookName,
      help: tookHelp,
      labelNames: ["direction"],
      buckets: bucketsSeconds,
      registers: [],
    });
    this.#counts = counts;
  }

  /**
   * Returns the metric as data in the form of `getForPromString`, because the library's own form has its labels
   * elsewhere.
   */
  override async get(): ReturnType<Histogram<"direction">["get"]> {
    const metric: unknown = await this.getForPromString(); // the library declares numbers where it has words
    return metric as Awaited<ReturnType<Histogram<"direction">["get"]>>;
  }

  /** Returns the metric for the registry's text output. */
  async getForPromString() {
    const values = directions.flatMap((direction) => valuesOf(direction, this.#counts[direction]));
    return { name: tookName, help: tookHelp, type: "histogram", values, aggregator: "sum" };
  }
}

function valuesOf(direction: Direction, { took, tookMs }: DirectionCounts) {
  const values: { labels: { direction: string; le?: string | number }; value: number; metricName: string }[] = [];
  let total = 0;
  for (let bucket = 0; bucket <= bucketsMs.length; bucket++) {
    total += took[bucket] ?? 0;
    const le = bucketsSeconds[bucket] ?? "+Inf";
    values.push({ labels: { direction, le }, value: total, metricName: `${tookName}_bucket` });
  }
  values.push({ labels: { direction }, value: tookMs / 1000, metricName: `${tookName}_sum` });
  values.push({ labels: { direction }, value: total, metricName: `${tookName}_count` });
  return values;
}
