/**
 * The format of a file with two slots, for a small state that changes often. Each new content goes into the slot that
 * does not hold the last one, so a torn write leaves the last one intact. A slot is a line with its serial, the length
 * of its content and the checksum of both, followed by the content. Pure; `slot-file.ts` writes it to disk.
 */
import { digestOf } from "../../core/digest.js";

export interface Slot {
  /** The serial increases by one with each content. Its parity is the number of the slot. */
  readonly serial: number;
  readonly content: Uint8Array;
}

/** The size of a slot in bytes: more than the sector or page that a torn write may damage. */
export const slotBytes = 8192;
const headBytesMax = 128;
/** The most bytes of content in a slot. */
export const slotContentBytesMax = slotBytes - headBytesMax;
export const slotFileBytes = 2 * slotBytes;

const head = /^ashlar-slot-1 (\d{1,15}) (\d{1,4}) ([0-9a-f]{64})$/;

/** Returns the offset in bytes of the slot of a serial. */
export function slotOffset(serial: number): number {
  return (serial % 2) * slotBytes;
}

/** Returns the bytes of a slot. `content` is at most `slotContentBytesMax` long. */
export function encodeSlot(slot: Slot): Uint8Array {
  const { serial, content } = slot;
  return Buffer.concat([
    Buffer.from(`ashlar-slot-1 ${serial} ${content.length} ${checksum(slot)}\n`, "latin1"),
    content,
  ]);
}

/**
 * Returns the checksum. It covers the serial too, so that a new serial before old content is not taken for new content.
 */
function checksum({ serial, content }: Slot): string {
  return digestOf(Buffer.concat([Buffer.from(`${serial}\n`), content]));
}

/** Returns the newest intact content of a file. undefined: it has none. */
export function newestSlot(file: Uint8Array): Slot | undefined {
  const [even, odd] = [parseSlot(file, 0), parseSlot(file, 1)];
  if (even === undefined || odd === undefined) return even ?? odd;
  return even.serial > odd.serial ? even : odd;
}

function parseSlot(file: Uint8Array, parity: number): Slot | undefined {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.length)
    .subarray(slotOffset(parity))
    .subarray(0, slotBytes);
  const end = bytes.subarray(0, headBytesMax).indexOf(0x0a);
  const [, serialText, lengthText, digest] = head.exec(bytes.toString("latin1", 0, Math.max(end, 0))) ?? [];
  const [serial, length] = [Number(serialText), Number(lengthText)];
  const content = new Uint8Array(bytes.subarray(end + 1, end + 1 + length));
  if (digest === undefined || serial % 2 !== parity || content.length !== length) return undefined;
  return checksum({ serial, content }) === digest ? { serial, content } : undefined;
}
