/**
 * Sends spans to an OTLP receiver in batches. No call waits for it: a span that finds no room is dropped and counted.
 */
import { createRequire } from "node:module";
import { messageOf } from "../../core/errors.js";
import type { Clock } from "../../runtime/clock.js";
import type { Logger } from "../../runtime/log.js";
import type { ExportedSpan } from "./span.js";

/** The part of OpenTelemetry's SpanExporter that is used. */
export interface SpanExporter {
  export(
    spans: readonly ExportedSpan[],
    done: (result: { readonly code: number; readonly error?: Error }) => void,
  ): void;
  shutdown(): Promise<void>;
}

/** The number of spans that the receiver took, that it refused or did not take in time, and that found no room. */
export interface SpanTotals {
  readonly exported: number;
  readonly failed: number;
  readonly dropped: number;
}

const heldMax = 4096;
const batchMax = 512;
const everyMs = 1000;
const timeoutMs = 5000;
/** The time between two warnings while a receiver refuses, in milliseconds. */
const warnEveryMs = 60_000;

// The packages are read when a receiver is named, and not at the start of each proxy.
const require = createRequire(import.meta.url);

/**
 * Returns the exporter for `grpc://HOST:PORT` and `grpcs://…` (OTLP/gRPC), or `http://…` and `https://…` (OTLP/HTTP,
 * protobuf). An HTTP address without a path gets `/v1/traces`.
 */
export function openExporter(url: string): SpanExporter {
  const { protocol, pathname } = new URL(url);
  if (protocol === "grpc:" || protocol === "grpcs:") {
    const { OTLPTraceExporter } = require("@opentelemetry/exporter-trace-otlp-grpc");
    return new OTLPTraceExporter({ url: url.replace(/^grpc/, "http"), timeoutMillis: timeoutMs }) as SpanExporter;
  }
  const { OTLPTraceExporter } = require("@opentelemetry/exporter-trace-otlp-proto");
  const whole = pathname === "/" ? `${url.replace(/\/$/, "")}/v1/traces` : url;
  return new OTLPTraceExporter({ url: whole, timeoutMillis: timeoutMs }) as SpanExporter;
}

export interface SpanExportDeps {
  readonly exporter: SpanExporter;
  readonly clock: Pick<Clock, "sleep" | "monotonicMs">;
  readonly log: Logger;
  /** The receiver's URL, for the log. */
  readonly url: string;
}

export class SpanExport {
  readonly #deps: SpanExportDeps;
  #waiting: ExportedSpan[] = [];
  #exported = 0;
  #failed = 0;
  #dropped = 0;
  #isSending = false;
  #warnedMs = Number.NEGATIVE_INFINITY;
  readonly #stop = new AbortController();

  constructor(deps: SpanExportDeps) {
    this.#deps = deps;
    void this.#run();
  }

  get totals(): SpanTotals {
    return { exported: this.#exported, failed: this.#failed, dropped: this.#dropped };
  }

  offer(span: ExportedSpan): void {
    if (this.#waiting.length >= heldMax) this.#dropped++;
    else this.#waiting.push(span);
  }

  noteDropped(): void {
    this.#dropped++;
  }

  /** Sends what waits once, within the exporter's time limit. */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.#send();
    await Promise.race([this.#deps.exporter.shutdown(), this.#deps.clock.sleep(timeoutMs)]);
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await this.#deps.clock.sleep(everyMs, signal);
      while (!signal.aborted && this.#waiting.length > 0) await this.#send();
    }
  }

  /** Sends one batch at a time, so that a hanging receiver holds only one. */
  async #send(): Promise<void> {
    if (this.#isSending || this.#waiting.length === 0) return;
    this.#isSending = true;
    const batch = this.#waiting.splice(0, batchMax);
    const error = await this.#export(batch);
    this.#isSending = false;
    if (error === undefined) this.#exported += batch.length;
    else this.#note(batch.length, error);
  }

  #export(batch: readonly ExportedSpan[]): Promise<unknown> {
    const { exporter, clock } = this.#deps;
    const sent = new Promise<unknown>((resolve) => {
      try {
        exporter.export(batch, ({ code, error }) => resolve(code === 0 ? undefined : (error ?? "it failed")));
      } catch (error) {
        resolve(error);
      }
    });
    const bound = new AbortController();
    const late = clock.sleep(2 * timeoutMs, bound.signal).then(() => "it did not answer");
    return Promise.race([sent, late]).finally(() => bound.abort());
  }

  #note(count: number, error: unknown): void {
    this.#failed += count;
    const nowMs = this.#deps.clock.monotonicMs();
    if (nowMs - this.#warnedMs < warnEveryMs) return;
    this.#warnedMs = nowMs;
    const { log, url } = this.#deps;
    log.warn("the receiver of traces takes no spans: they are dropped", { otlp: url, error: messageOf(error) });
  }
}
