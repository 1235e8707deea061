/** Where the numbers of a field are within its row. */
export const cell = {
  nameId: 0,
  nameStart: 1,
  nameLength: 2,
  valueStart: 3,
  valueLength: 4,
  /** Of name and value; 0: not computed yet. */
  hash: 5,
  flags: 6,
  /** > 0: number of the entry in the dynamic table it came from; < 0: minus the static index. */
  entry: 7,
  /** The value as it came on the wire, for passing on: in `wire`, Huffman-coded if the flag says so. */
  wireStart: 8,
  wireLength: 9,
} as const;
export const cells = 10;
