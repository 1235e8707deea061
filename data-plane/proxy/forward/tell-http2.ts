import type { Socket } from "node:net";

/** What a client of HTTP/2 that knows that it is spoken here sends first (RFC 9113, 3.4); no method begins like it. */
const preface = Buffer.from("PRI");

/** Calls back once its time is over; what it returns takes that back. */
export type After = (late: () => void) => () => void;

/**
 * Waits for the first bytes of a connection and tells whether they are HTTP/2; they are still to be read then. A
 * connection that says nothing until `after` calls back is closed.
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
