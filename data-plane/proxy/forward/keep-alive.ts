import type { ServerHttp2Session } from "node:http2";

/**
 * Closes the connection of a client that is gone without a word, and one whose framing broke: node:http2 stops
 * reading then and hears no end of the socket. Returns the way to stop.
 */
export function keepAlive(
  session: ServerHttp2Session,
  { keepaliveMs, keepaliveTimeoutMs }: { readonly keepaliveMs: number; readonly keepaliveTimeoutMs: number },
): () => void {
  let late: NodeJS.Timeout | undefined;
  const ask = (): void => {
    if (session.destroyed || late !== undefined) return;
    late = setTimeout(() => session.destroy(), keepaliveTimeoutMs).unref();
    session.ping(() => {
      clearTimeout(late);
      late = undefined;
    });
  };
  const asking = setInterval(ask, keepaliveMs).unref();
  return () => {
    clearInterval(asking);
    clearTimeout(late);
  };
}
