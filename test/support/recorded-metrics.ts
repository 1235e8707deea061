import type { ProxyMetrics } from "../../data-plane/proxy/proxy-metrics.js";

export class RecordedMetrics implements ProxyMetrics {
  readonly ended: Parameters<ProxyMetrics["callEnded"]>[0][] = [];
  readonly failures: string[] = [];
  readonly judged: { readonly open: number; readonly closed: number; readonly tookMs: number }[] = [];
  open = 0;
  connections = 0;

  callStarted(): void {
    this.open += 1;
  }

  callEnded(call: Parameters<ProxyMetrics["callEnded"]>[0]): void {
    this.open -= 1;
    this.ended.push(call);
  }

  connection(_direction: string, change: 1 | -1): void {
    this.connections += change;
  }

  judgedAgain(open: number, closed: number, tookMs: number): void {
    this.judged.push({ open, closed, tookMs });
  }

  readonly ejections: string[] = [];

  ejected(service: string, reason: string): void {
    this.ejections.push(`${service} ${reason}`);
  }

  readonly retries: string[] = [];

  readonly hedges: string[] = [];

  hedged(_service: string, outcome: string): void {
    this.hedges.push(outcome);
  }

  readonly copies: string[] = [];

  mirrored(_service: string, outcome: string): void {
    this.copies.push(outcome);
  }

  retried(service: string): void {
    this.retries.push(service);
  }

  readonly tooLongOnes: string[] = [];

  tooLong(service: string): void {
    this.tooLongOnes.push(service);
  }

  returned(service: string): void {
    this.ejections.push(`${service} returned`);
  }

  handshakeFailed(direction: string, reason: string): void {
    this.failures.push(`${direction} ${reason}`);
  }
}
