/** Floods of frames that are cheap to send, as fast as a connection takes them. */
import type { TLSSocket } from "node:tls";
import { errorCode, frameType } from "../../data-plane/http2/protocol.js";
import { data, frame, headers, ping, preface, request, reset, settings } from "../../test/support/wire.js";

const framesPerWrite = 200;
const call = request("/bench.Echo/Call");

/** Returns the frames of one write; `nextId` gives the id of a new stream. */
export type FrameFlood = (nextId: () => number, isFirst: boolean) => readonly Buffer[];

const many = (one: () => Buffer): Buffer[] => Array.from({ length: framesPerWrite }, one);
const none = Buffer.alloc(0);

export const frameFloods: Readonly<Record<string, FrameFlood>> = {
  settings: () => many(() => settings()),
  pings: () => many(() => ping()),
  "empty data": (nextId, isFirst) => [...(isFirst ? [headers(nextId(), call)] : []), ...many(() => data(1, none))],
  continuation: (_nextId, isFirst) => [
    ...(isFirst ? [frame(frameType.headers, 0, 1, none)] : []),
    ...many(() => frame(frameType.continuation, 0, 1, none)),
  ],
  resets: (nextId) =>
    many(() => {
      const id = nextId();
      return Buffer.concat([headers(id, call), reset(id, errorCode.cancel)]);
    }),
};

/** Sends a flood on a new connection until it is ended. */
export function sendFrames(socket: TLSSocket, flood: FrameFlood): void {
  let lastId = -1;
  let isFirst = true;
  const nextId = (): number => {
    lastId += 2;
    return lastId;
  };
  const send = (): void => {
    let takesMore = true;
    while (takesMore && !socket.destroyed) {
      takesMore = socket.write(Buffer.concat(flood(nextId, isFirst)));
      isFirst = false;
    }
  };
  socket.on("drain", send).resume();
  socket.once("secureConnect", () => {
    socket.write(Buffer.concat([preface, settings()]));
    send();
  });
}
