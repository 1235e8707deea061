import { connect } from "node:net";
import { messageOf } from "../../core/errors.js";
import type { AppRegistration } from "../ports.js";

const probeTimeoutMs = 1000;

/** The result of a connection attempt to the application's socket. */
export type Probed =
  | { readonly kind: "accepts" }
  /** No process listens, or the address is not a socket that this process may connect to. */
  | { readonly kind: "gone"; readonly why: string }
  /** The result is not known: a blocked process accepts no connection, or this process lacks memory or descriptors. */
  | { readonly kind: "silent"; readonly why: string };

/** Errors that a full backlog of a blocked process gives, or a shortage of this process's own. */
const silentCodes: ReadonlySet<string | undefined> = new Set(["EAGAIN", "ETIMEDOUT", "EMFILE", "ENFILE", "ENOBUFS"]);

/** Tries to connect to `target` and returns the result. Never rejects. */
export function probeApplication(target: AppRegistration["target"]): Promise<Probed> {
  return new Promise((resolve) => {
    const socket = connect({ ...target });
    const settle = (probed: Probed) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(probed);
    };
    const timer = setTimeout(() => settle({ kind: "silent", why: "no answer within 1 s" }), probeTimeoutMs);
    socket.once("connect", () => settle({ kind: "accepts" }));
    socket.on("error", (error: NodeJS.ErrnoException) =>
      settle({ kind: silentCodes.has(error.code) ? "silent" : "gone", why: messageOf(error) }),
    );
  });
}
