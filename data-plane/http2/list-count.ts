import { fieldName } from "./field-names.js";

const rescued: ReadonlySet<number> = new Set([
  fieldName.grpcStatus,
  fieldName.grpcMessage,
  fieldName.grpcRetryPushback,
]);
const rescuedMax = 4;

export interface HpackDecoderLimits {
  readonly headerFieldsMax: number;
  readonly headerListBytesMax: number;
  /** Over `headerListBytesMax` by this factor, a header block is an attack; 4 by default. */
  readonly headerFloodFactor?: number;
}

/** What one header block counts: every field, whatever becomes of it, with 32 bytes on top (RFC 9113, 6.5.2). */
export class ListCount {
  readonly bytesMax: number;
  readonly #fieldsMax: number;
  readonly #floodBytes: number;
  fields = 0;
  bytes = 0;
  #rescued = 0;
  /** More than allowed: what comes from now on is not kept, but for what `rescues` names. */
  isTooLarge = false;

  constructor(limits: HpackDecoderLimits) {
    this.bytesMax = limits.headerListBytesMax;
    this.#fieldsMax = limits.headerFieldsMax;
    this.#floodBytes = (limits.headerFloodFactor ?? 4) * limits.headerListBytesMax;
  }

  begin(): void {
    this.fields = 0;
    this.bytes = 0;
    this.#rescued = 0;
    this.isTooLarge = false;
  }

  /** Whether a field with this name is kept though the block is too large: it says how a call ended. */
  rescues(nameId: number): boolean {
    return rescued.has(nameId) && ++this.#rescued <= rescuedMax;
  }

  /** So far over the limit that reading is given up. */
  get isFlood(): boolean {
    return this.bytes >= this.#floodBytes;
  }

  /** Counts a field whose name and value have so many bytes, and says whether it is to be kept. */
  add(bytes: number): boolean {
    this.fields++;
    this.bytes += bytes + 32;
    if (this.fields > this.#fieldsMax || this.bytes > this.bytesMax) this.isTooLarge = true;
    return !this.isTooLarge;
  }
}
