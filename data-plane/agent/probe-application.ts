import { connect } from "node:net";
import { messageOf } from "../../core/errors.js";
import type { AppRegistration } from "../ports.js";

const probeTimeoutMs = 1000;

/** Whether somebody accepts connections at `target`: undefined if so, else why not. */
export function probeApplication(target: AppRegistration["target"]): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ ...target });
    const settle = (why: string | undefined) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(why);
    };
    const timer = setTimeout(() => settle("no answer within 1 s"), probeTimeoutMs);
    socket.once("connect", () => settle(undefined));
    socket.on("error", (error) => settle(messageOf(error)));
  });
}
