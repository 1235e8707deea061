/** The socket over which services are added to a running proxy and removed, for its owner alone (mode 0600). */
import type { Server, Socket } from "node:net";
import { isAshlarError, messageOf } from "../../core/errors.js";
import type { Logger } from "../../runtime/log.js";
import { listenOwned } from "../../runtime/owned-socket.js";
import { prepareSocketPath } from "../proxy/socket-path.js";
import { Doors } from "../takeover/doors.js";
import { type ControlReply, type ControlRequest, controlPath, parseControlRequest } from "./control-messages.js";
import { readLine } from "./read-line.js";

const connectionsMax = 8;
/** The milliseconds within which a request must arrive. */
const requestMsMax = 5000;

/** Carries out a request. Its errors are sent as the answer. */
export type ActOnRequest = (request: ControlRequest) => Promise<Extract<ControlReply, { kind: "done" }>>;

export interface ControlServer {
  close(): void;
}

/** Listens in the folder of the process, in place of a predecessor that drains. Fails with `unavailable`. */
export async function openControlServer(dataDir: string, act: ActOnRequest, log: Logger): Promise<ControlServer> {
  const path = controlPath(dataDir);
  const doors = new Doors(undefined);
  await prepareSocketPath({ path }, log, true);
  const { handover } = await doors.at("control", { path });
  const serve = (socket: Socket): void => {
    void answer(socket, act).catch((error: unknown) => {
      log.warn("a request at the control socket failed", { why: messageOf(error) });
      socket.destroy();
    });
  };
  const server: Server = await listenOwned(path, { connectionsMax, serve, handover, log });
  return {
    close: () => {
      server.close();
      doors.removePaths();
    },
  };
}

async function answer(socket: Socket, act: ActOnRequest): Promise<void> {
  const line = await readLine(socket, requestMsMax);
  const reply = await replyTo(line, act);
  socket.end(`${JSON.stringify(reply)}\n`);
}

async function replyTo(line: string, act: ActOnRequest): Promise<ControlReply> {
  try {
    return await act(parseControlRequest(line));
  } catch (error) {
    if (isAshlarError(error)) return { kind: "refused", code: error.code, message: error.message };
    return { kind: "refused", code: "internal", message: messageOf(error) };
  }
}
