import type { Field } from "./wire.js";

/** What was heard of one stream, and what is still to be sent on it. */
export class RawStream {
  readonly id: number;
  fields: readonly Field[] = [];
  trailers: readonly Field[] = [];
  bytes = 0;
  readonly body: Buffer[] = [];
  ended = false;
  resetCode: number | undefined;
  /** How much may be sent. */
  window: number;
  sentBytes = 0;
  readonly queue: Buffer[] = [];
  trailersToSend: readonly Field[] | undefined;

  constructor(id: number, window: number) {
    this.id = id;
    this.window = window;
  }

  value(name: string): string | undefined {
    return (this.trailers.find(([one]) => one === name) ?? this.fields.find(([one]) => one === name))?.[1];
  }

  get isOver(): boolean {
    return this.ended || this.resetCode !== undefined;
  }
}
