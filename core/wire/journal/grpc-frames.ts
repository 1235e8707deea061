/** gRPC's framing of messages: a flag, four bytes of length, and the message. */

export interface FramedMessage {
  readonly isCompressed: boolean;
  readonly bytes: Uint8Array;
}

const prefixBytes = 5;

/** Splits framed messages. Returns undefined if the last one is not complete. */
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

/** Returns the end of the last complete message within the first `most` bytes; 0: none is complete there. */
export function wholeMessagesEnd(framed: Buffer, most = framed.length): number {
  let end = 0;
  for (;;) {
    if (framed.length - end < prefixBytes) return end;
    const next = end + prefixBytes + framed.readUInt32BE(end + 1);
    if (next > framed.length || next > most) return end;
    end = next;
  }
}

/** Returns the bytes of the first message with its frame; 0: its length has not arrived yet. */
export const firstMessageBytes = (framed: Buffer): number =>
  framed.length < prefixBytes ? 0 : prefixBytes + framed.readUInt32BE(1);
