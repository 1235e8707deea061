/** Shows progress while a command waits for the fleet, and names silent proxies at the end. */
import type { Clock } from "../runtime/clock.js";
import type { AdminClient, ProxyInfo } from "./client.js";
import { visible } from "./output.js";

/** Milliseconds after which progress is shown. */
const quietMs = 1000;
const pollMs = 500;
const namedMax = 10;

/** Returns a text with the first few ids and the number of the others. */
export function renderNames(proxies: readonly { readonly id: string; readonly service: string }[]): string {
  const names = proxies.slice(0, namedMax).map(({ id, service }) => `${id} (${service})`);
  const more = proxies.length > namedMax ? ` and ${proxies.length - namedMax} more` : "";
  return `${visible(names.join(", "))}${more}`;
}

/** Returns the proxies that went silent without leaving. What they evaluate is unknown, and they are not waited for. */
export function silentOf(proxies: readonly ProxyInfo[]): readonly ProxyInfo[] {
  return proxies.filter(({ live, revokedMs }) => !live && revokedMs === 0);
}

/** Returns the end of a sentence that names silent proxies; "" if there are none. */
export function renderSilent(silent: readonly { readonly id: string; readonly service: string }[]): string {
  return silent.length === 0 ? "" : ` Not heard of, so not counted: ${renderNames(silent)}.`;
}

/** Shows which proxies have not prepared `revision` while `work`, which waits for them, takes longer than a second. */
export async function showPreparing<Result>(
  deps: { readonly admin: Pick<AdminClient, "getConvergence">; readonly clock: Clock; progress(text: string): void },
  revision: number,
  work: Promise<Result>,
): Promise<Result> {
  const done = new AbortController();
  const finished = work.finally(() => done.abort());
  const showing = (async () => {
    await deps.clock.sleep(quietMs, done.signal);
    while (!done.signal.aborted) {
      const answer = await deps.admin.getConvergence({ revision }).catch(() => undefined);
      const waited = answer?.proxies.filter(({ live, prepared }) => live && !prepared) ?? [];
      if (!done.signal.aborted && waited.length > 0)
        deps.progress(`waiting for proxies to prepare revision ${revision}: ${renderNames(waited)}`);
      await deps.clock.sleep(pollMs, done.signal);
    }
  })();
  try {
    return await finished;
  } finally {
    await showing;
  }
}
