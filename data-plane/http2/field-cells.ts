/** Where each number of a field is in its row. */
export const cell = {
  nameId: 0,
  nameStart: 1,
  nameLength: 2,
  valueStart: 3,
  valueLength: 4,
  /** Hash of name and value; 0 if not computed yet. */
  hash: 5,
  flags: 6,
  /**
   * Positive: the number of the dynamic table's entry that the field came from. Negative: minus its index in the static
   * table.
   */
  entry: 7,
  /**
   * Where the encoded value is in the block's `wire`, for forwarding. A flag says whether the value is Huffman-coded.
   */
  wireStart: 8,
  wireLength: 9,
} as const;
export const cells = 10;
