/** The shortest block in bytes. The other lengths are the powers of two above it. */
const lengthMin = 256;
const lengths = 5;
const lengthMax = lengthMin << (lengths - 1);
/** The most bytes of free blocks that are kept, for each length. */
const freeBytesMax = 262_144;

const free: readonly Buffer[][] = Array.from({ length: lengths }, () => []);

/**
 * Returns a block of at least `length` bytes with undefined content. Short blocks are reused because each call needs
 * two: creating a buffer costs more than filling it, and V8 collects all garbage sooner because of memory outside its
 * heap.
 */
export function takeBlock(length: number): Buffer {
  if (length > lengthMax) return Buffer.allocUnsafeSlow(length);
  const place = placeOf(length);
  return (free[place] as Buffer[]).pop() ?? Buffer.allocUnsafeSlow(lengthMin << place);
}

/** Gives back a block that nothing uses any more. It must come from `takeBlock` and be given back once. */
export function giveBlock(block: Buffer): void {
  const { length } = block;
  if (length > lengthMax || length < lengthMin) return;
  const blocks = free[placeOf(length)] as Buffer[];
  if (blocks.length * length < freeBytesMax) blocks.push(block);
}

function placeOf(length: number): number {
  return length <= lengthMin ? 0 : 24 - Math.clz32(length - 1);
}
