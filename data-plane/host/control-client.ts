import { connect } from "node:net";
import { AshlarError } from "../../core/errors.js";
import { fileReason } from "../../runtime/file-reason.js";
import { checkSocketFolder } from "../../runtime/socket-folder.js";
import {
  type ControlReply,
  type ControlRequest,
  controlFolder,
  controlPath,
  parseControlReply,
} from "./control-messages.js";
import { readLine } from "./read-line.js";

/**
 * The milliseconds to wait for an answer: a joining proxy waits for the control plane, and a removed one for its open
 * calls.
 */
const answerMsMax = 120_000;

/**
 * Asks the proxy that runs on `dataDir`. Fails with `unavailable` if none runs there, and with the proxy's own error.
 */
export async function askProxy(
  dataDir: string,
  request: ControlRequest,
): Promise<Extract<ControlReply, { kind: "done" }>> {
  const path = controlPath(dataDir);
  await checkSocketFolder(controlFolder(dataDir)).catch((cause: unknown) => {
    throw new AshlarError("unavailable", `no proxy runs on ${dataDir}: ${fileReason(cause)}`, { cause });
  });
  const socket = connect({ path });
  await new Promise<void>((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once("error", (cause) =>
      reject(new AshlarError("unavailable", `no proxy runs on ${dataDir}: ${fileReason(cause)}`, { cause })),
    );
  });
  socket.write(`${JSON.stringify(request)}\n`);
  try {
    const reply = parseControlReply(await readLine(socket, answerMsMax));
    if (reply.kind === "refused") throw new AshlarError(reply.code, reply.message);
    return reply;
  } finally {
    socket.destroy();
  }
}
