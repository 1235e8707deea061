/** Yields what comes until `left` resolves. The source is not waited for then: whoever opened it closes it. */
export async function* untilLeft<Item>(
  items: AsyncIterable<Item>,
  left: Promise<void>,
): AsyncGenerator<Item, void, undefined> {
  const iterator = items[Symbol.asyncIterator]();
  const end = left.then(() => ({ done: true, value: undefined }) as const);
  for (;;) {
    const next = iterator.next();
    const { done, value } = await Promise.race([next, end]);
    if (done === true) {
      next.catch(() => {}); // its connection is closed now
      return;
    }
    yield value;
  }
}
