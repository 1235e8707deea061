/** Returns a body of `bytes` bytes that does not repeat a short pattern. For gRPC it has the message prefix. */
export function messageOf(bytes: number, grpc: boolean): Uint8Array {
  const prefix = grpc ? 5 : 0;
  const all = Buffer.alloc(prefix + bytes);
  for (let i = 0; i < bytes; i++) all[prefix + i] = (i * 31 + 7) & 0xff;
  if (grpc) all.writeUInt32BE(bytes, 1);
  return all;
}
