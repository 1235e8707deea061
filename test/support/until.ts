/** Waits for what comes true by itself, by asking again and again. */

/** Fails with `what`, and what `detail` says then, if `holds` does not answer true within `timeoutMs`; what it throws is thrown. */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  timeoutMs = 30_000,
  detail?: () => string,
): Promise<void> {
  const end = Date.now() + timeoutMs;
  for (;;) {
    if (await holds()) return;
    if (Date.now() > end)
      throw new Error(`not within ${timeoutMs} ms: ${what}${detail === undefined ? "" : `\n${detail()}`}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

/** The same for a condition that may throw until it holds: what it threw last is thrown after `timeoutMs`. */
export async function untilTrue(condition: () => boolean | Promise<boolean>, timeoutMs = 30_000): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  let failure: unknown = new Error("the condition did not come true");
  while (Date.now() < deadline) {
    try {
      if (await condition()) return;
    } catch (error) {
      failure = error;
    }
    await new Promise((done) => setTimeout(done, 10));
  }
  throw failure;
}
