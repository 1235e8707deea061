/** By length: powers of two from here. */
const lengthMin = 256;
const lengths = 5;
const lengthMax = lengthMin << (lengths - 1);
/** What is kept of each length. */
const freeBytesMax = 262_144;

const free: readonly Buffer[][] = Array.from({ length: lengths }, () => []);

/**
 * A block of `length` bytes at least. Short ones are used again, since each call needs two: making a buffer costs more
 * than filling it, and V8 collects all garbage sooner for memory outside its heap. What is in it is undefined.
 */
export function takeBlock(length: number): Buffer {
  if (length > lengthMax) return Buffer.allocUnsafeSlow(length);
  const place = placeOf(length);
  return (free[place] as Buffer[]).pop() ?? Buffer.allocUnsafeSlow(lengthMin << place);
}

/** Nobody reads or writes the block any more; must come from `takeBlock`, and once. */
export function giveBlock(block: Buffer): void {
  const { length } = block;
  if (length > lengthMax || length < lengthMin) return;
  const blocks = free[placeOf(length)] as Buffer[];
  if (blocks.length * length < freeBytesMax) blocks.push(block);
}

function placeOf(length: number): number {
  return length <= lengthMin ? 0 : 24 - Math.clz32(length - 1);
}
