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

/** Where the last whole message ends among the first `most` bytes; 0: not one is whole there. */
export function wholeMessagesEnd(framed: Buffer, most = framed.length): number {
  let end = 0;
  for (;;) {
    if (framed.length - end < prefixBytes) return end;
    const next = end + prefixBytes + framed.readUInt32BE(end + 1);
    if (next > framed.length || next > most) return end;
    end = next;
  }
}

/** How long the first message is with its frame; 0: that is not there yet. */
export const firstMessageBytes = (framed: Buffer): number =>
  framed.length < prefixBytes ? 0 : prefixBytes + framed.readUInt32BE(1);
