/** Waits for a condition by checking it again and again. */

/**
 * Waits until `holds` returns true. Fails with `what` and `detail` after `timeoutMs`. What `holds` throws is thrown.
 */
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

/** Waits for a condition that may throw meanwhile. After `timeoutMs` it throws what the condition threw last. */
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
