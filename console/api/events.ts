/** Follows a stream of the control plane as server-sent events. */
import { type EventOf, type Stream, streams } from "./methods.js";

/** Receives what a stream brings. */
export interface Follower<T> {
  readonly onEvent: (event: T) => void;
  /** Called with true when the stream is open (again), and with false when it is cut. */
  readonly onConnected?: (connected: boolean) => void;
  /**
   * Called when the control plane ended the stream: with a message if something is wrong, or with undefined if it had
   * sent everything. Without this callback the stream is opened again.
   */
  readonly onEnd?: (problem: string | undefined) => void;
}

const retryMsMin = 1000;
const retryMsMax = 15_000;

/**
 * Follows a stream until the returned function is called. Reconnects after each break, with growing delays. A page in a
 * hidden window follows nothing: a session may have few streams, and other windows need them.
 */
export function follow<M extends Stream>(
  method: M,
  request: Readonly<Record<string, unknown>>,
  follower: Follower<EventOf<M>>,
): () => void {
  const url = `/api/stream/${method}?request=${encodeURIComponent(JSON.stringify(request))}`;
  let retryMs = retryMsMin;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let source: EventSource | undefined;
  const close = (): void => {
    clearTimeout(timer);
    source?.close();
    source = undefined;
  };
  const stop = (): void => {
    close();
    document.removeEventListener("visibilitychange", looked);
    removeEventListener("focus", looked);
  };
  const again = (): void => {
    close();
    follower.onConnected?.(false);
    timer = setTimeout(open, retryMs);
    retryMs = Math.min(retryMs * 2, retryMsMax);
  };
  const end = (problem: string | undefined): void => {
    if (follower.onEnd === undefined) again();
    else {
      stop();
      follower.onEnd(problem);
    }
  };
  const open = (): void => {
    clearTimeout(timer);
    source = new EventSource(url);
    source.onopen = () => {
      retryMs = retryMsMin;
      follower.onConnected?.(true);
    };
    source.onmessage = ({ data }) => follower.onEvent(streams[method](JSON.parse(data)) as EventOf<M>);
    source.addEventListener("end", () => end(undefined));
    source.addEventListener("failed", (event) => end(messageOf((event as MessageEvent).data)));
    // Other windows of this session took its place; whoever comes back to this one takes it again.
    source.addEventListener("replaced", close);
    source.addEventListener("ended", () => {
      close();
      follower.onConnected?.(false);
    });
    source.onerror = () => {
      const refused = source?.readyState === EventSource.CLOSED;
      again();
      if (refused) void askWhy(url).then((problem) => problem !== undefined && end(problem));
    };
  };
  const looked = (): void => {
    if (document.visibilityState !== "visible") close();
    else if (source === undefined) open();
  };
  document.addEventListener("visibilitychange", looked);
  addEventListener("focus", looked);
  looked();
  return stop;
}

/**
 * Returns why the stream cannot be had, if asking again would not help. An EventSource does not tell a page what the
 * answer was.
 */
async function askWhy(url: string): Promise<string | undefined> {
  const enough = new AbortController();
  try {
    const response = await fetch(url, { signal: enough.signal });
    const isFinal =
      response.status >= 400 && response.status < 600 && ![401, 429, 502, 503, 504].includes(response.status);
    return isFinal ? messageOf(await response.text()) : undefined;
  } catch {
    return undefined;
  } finally {
    enough.abort();
  }
}

function messageOf(data: string): string {
  try {
    const { message } = JSON.parse(data) as { readonly message?: unknown };
    return typeof message === "string" ? message : data;
  } catch {
    return data;
  }
}
