import type { ConnectionPort } from "./connection-port.js";
import { clientPreface, initialWindow, settingId } from "./protocol.js";

/** Writes the first frames of a connection (RFC 9113, 3.4). */
export function greet(connection: Pick<ConnectionPort, "isServer" | "limits" | "output" | "wake">): void {
  const { limits, output, isServer } = connection;
  if (!isServer) output.raw(Buffer.from(clientPreface, "latin1"));
  const settings = isServer
    ? [settingId.maxConcurrentStreams, limits.concurrentStreamsMax]
    : [settingId.enablePush, 0, settingId.maxConcurrentStreams, 0];
  settings.push(settingId.initialWindowSize, limits.streamWindowBytes);
  settings.push(settingId.maxHeaderListSize, limits.headerListBytesMax);
  output.settings(settings);
  if (limits.connectionWindowBytes > initialWindow)
    output.windowUpdate(0, limits.connectionWindowBytes - initialWindow);
  connection.wake();
}
