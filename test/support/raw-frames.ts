/** HTTP/2 frames by hand: for what node:http2 would not send. */

export const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

/** A frame (RFC 9113, 4.1) with whatever it is told. */
export function frame(type: number, flags: number, streamId: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(streamId, 5);
  return Buffer.concat([head, payload]);
}

export function settingsFrame(): Buffer {
  return frame(0x4, 0, 0, Buffer.alloc(0));
}

/** A whole header block; `last`: with END_STREAM. */
export function headersFrame(streamId: number, block: Buffer, last = true): Buffer {
  return frame(0x1, last ? 0x5 : 0x4, streamId, block);
}

/** Literals without indexing and without Huffman (RFC 7541, 6.2.2); text is latin1. */
export function literalHeaders(fields: readonly (readonly [string, string])[]): Buffer {
  return Buffer.concat(fields.flatMap(([name, value]) => [Buffer.from([0]), literal(name), literal(value)]));
}

/** A unary gRPC request, with `changes`. */
export function requestFields(changes: Readonly<Record<string, string>>): Buffer {
  const fields = {
    ":method": "POST",
    ":scheme": "http",
    ":path": "/test.Bytes/Unary",
    ":authority": "bytes",
    te: "trailers",
    "content-type": "application/grpc",
    ...changes,
  };
  return literalHeaders(Object.entries(fields));
}

function literal(text: string): Buffer {
  const bytes = Buffer.from(text, "latin1");
  return Buffer.concat([integer(bytes.length, 7), bytes]);
}

/** RFC 7541, 5.1, with zero in the bits before the prefix. */
function integer(value: number, prefixBits: number): Buffer {
  const max = 2 ** prefixBits - 1;
  if (value < max) return Buffer.from([value]);
  const bytes = [max];
  let rest = value - max;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  bytes.push(rest);
  return Buffer.from(bytes);
}
