import { untilAborted } from "../runtime/abort.js";

/** Yields the items of a source until `left` resolves. The source is then not awaited: whoever opened it closes it. */
export async function* untilLeft<Item>(
  items: AsyncIterable<Item>,
  left: Promise<void>,
): AsyncGenerator<Item, void, undefined> {
  const iterator = items[Symbol.asyncIterator]();
  const end = new AbortController();
  void left.then(() => end.abort());
  for (;;) {
    const next = await untilAborted(iterator.next(), end.signal);
    if (next === undefined || next.done === true) return;
    yield next.value;
  }
}
