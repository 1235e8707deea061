/** Maps and sets that hold so many and no more. */

/** Makes it the youngest; of too many the oldest goes. */
export function keep<Value>(map: Map<string, Value>, id: string, value: Value, max: number): void {
  map.delete(id);
  map.set(id, value);
  const [oldest] = map.keys();
  if (map.size > max && oldest !== undefined) map.delete(oldest);
}

/** Adds it; of too many the oldest goes. */
export function remember(set: Set<string>, id: string, max: number): void {
  if (set.has(id)) return;
  set.add(id);
  const [oldest] = set;
  if (set.size > max && oldest !== undefined) set.delete(oldest);
}
