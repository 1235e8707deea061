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
  /** A block larger than this many times `headerListBytesMax` is an attack; 4 by default. */
  readonly headerFloodFactor?: number;
}

/**
 * Counts the fields of one header block: each counts its bytes and 32 more, whether it is kept or not (RFC 9113,
 * 6.5.2).
 */
export class ListCount {
  readonly bytesMax: number;
  readonly #fieldsMax: number;
  readonly #floodBytes: number;
  fields = 0;
  bytes = 0;
  #rescued = 0;
  /** Whether the block exceeds a limit: from then on only the fields that `rescues` names are kept. */
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

  /** Whether a field with this name is kept although the block is too large, because it says how a call ended. */
  rescues(nameId: number): boolean {
    return rescued.has(nameId) && ++this.#rescued <= rescuedMax;
  }

  /** Whether the block is so far over the limit that decoding stops. */
  get isFlood(): boolean {
    return this.bytes >= this.#floodBytes;
  }

  /** Counts a field whose name and value together have `bytes` bytes. Returns whether to keep the field. */
  add(bytes: number): boolean {
    this.fields++;
    this.bytes += bytes + 32;
    if (this.fields > this.#fieldsMax || this.bytes > this.bytesMax) this.isTooLarge = true;
    return !this.isTooLarge;
  }
}
