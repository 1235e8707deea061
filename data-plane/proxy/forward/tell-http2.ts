import type { Socket } from "node:net";

/** What every HTTP/2 connection begins with (RFC 9113, 3.4). No HTTP/1.1 method begins with it. */
const preface = Buffer.from("PRI");

/** Calls `late` once its time is over. The function that it returns cancels that. */
export type After = (late: () => void) => () => void;

/**
 * Waits for the first bytes of a connection and reports whether they are HTTP/2. The bytes stay to be read. A
 * connection that sends nothing until `after` calls back is closed.
 */
export function tellHttp2(socket: Socket, after: After, tell: (isHttp2: boolean) => void): void {
  let seen: Buffer = Buffer.alloc(0);
  const ignore = (): void => {}; // "close" follows
  const inTime = after(() => socket.destroy());
  const stop = (): void => {
    inTime();
    socket.off("data", look).off("close", stop).off("error", ignore);
  };
  const look = (chunk: Buffer): void => {
    seen = Buffer.concat([seen, chunk]);
    const isHttp2 = seen.subarray(0, preface.length).equals(preface.subarray(0, seen.length));
    if (isHttp2 && seen.length < preface.length) return;
    stop();
    socket.pause();
    socket.unshift(seen);
    tell(isHttp2);
  };
  socket.on("data", look).on("close", stop).on("error", ignore);
}
