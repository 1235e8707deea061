/** Messages as gRPC frames them: a flag, four bytes of length, the message. */

export interface FramedMessage {
  readonly isCompressed: boolean;
  readonly bytes: Uint8Array;
}

const prefixBytes = 5;

/** Cuts framed messages apart; undefined: they are not whole. */
export function splitFrames(framed: Uint8Array): readonly FramedMessage[] | undefined {
  const view = new DataView(framed.buffer, framed.byteOffset, framed.byteLength);
  const messages: FramedMessage[] = [];
  for (let at = 0; at < framed.length; ) {
    if (framed.length - at < prefixBytes) return undefined;
    const end = at + prefixBytes + view.getUint32(at + 1);
    if (end > framed.length) return undefined;
    messages.push({ isCompressed: framed[at] !== 0, bytes: framed.subarray(at + prefixBytes, end) });
    at = end;
  }
  return messages;
}
