/** The proxy that already runs on this data folder, as seen by the process that takes over from it. */
import { dirname } from "node:path";
import { AshlarError, isAshlarError, messageOf } from "../../core/errors.js";
import type { HostPort } from "../../runtime/config.js";
import { connectHandlePipe, type HandlePipe } from "../../runtime/pass-handles.js";
import { checkSocketFolder } from "../../runtime/socket-folder.js";
import type { AppRegistration } from "../ports.js";
import { encodeMessage, parseReply, type Reply, type Request, takeoverVersion } from "./messages.js";
import { takeoverPath } from "./takeover-path.js";

const replyMsMax = 20_000;

export class Predecessor {
  readonly #pipe: HandlePipe;
  #answer: ((reply: Reply | AshlarError, handle: object | undefined) => void) | undefined;
  #ended = false;
  /** The highest counter that the predecessor has signed or will sign with. */
  counter = 0;
  /** The application that an SDK registered with the predecessor. undefined: none did. */
  app: AppRegistration | undefined;

  private constructor(pipe: HandlePipe) {
    this.#pipe = pipe;
    pipe.start(
      (line, handle) => this.#heard(line, handle),
      () => {
        this.#ended = true;
        this.#answer?.(gone(), undefined);
      },
    );
  }

  /**
   * Asks the proxy that runs on `dataDir` to hold still while this process starts. Returns undefined if no proxy hands
   * over. Fails with `exists` if the proxy refuses, and with `unavailable` if it does not answer, or if others could
   * have replaced its socket: its answer says where the application is.
   */
  static async hold(dataDir: string, service: string): Promise<Predecessor | undefined> {
    const path = takeoverPath(dataDir);
    const pipe = await connectHandlePipe(path).catch(() => undefined);
    if (pipe === undefined) return undefined;
    await checkSocketFolder(dirname(path)).catch((cause) => {
      pipe.close();
      throw new AshlarError("unavailable", `who listens on ${path} is not trusted: ${messageOf(cause)}`, { cause });
    });
    const predecessor = new Predecessor(pipe);
    try {
      const { reply } = await predecessor.#ask({ kind: "hold", version: takeoverVersion, service });
      if (reply.kind !== "held") throw unexpected(reply);
      predecessor.counter = reply.counter;
      predecessor.app = reply.app;
      return predecessor;
    } catch (error) {
      predecessor.close();
      throw error;
    }
  }

  /** Returns the predecessor's listening socket `name`, or undefined if it has none at that address. */
  async socketOf(name: string, { host, port }: HostPort): Promise<object | undefined> {
    const { reply, handle } = await this.#ask({ kind: "socket", name, address: { host, port } });
    if (reply.kind !== "socket") throw unexpected(reply);
    return reply.passed ? handle : undefined;
  }

  /**
   * Takes over the folder and the proxy's name. Fails with `unavailable` if the predecessor is gone or has gone on by
   * itself.
   */
  async take(): Promise<void> {
    const { reply } = await this.#ask({ kind: "take" });
    if (reply.kind !== "yours") throw unexpected(reply);
  }

  /** Tells the predecessor to drain. It may be gone already. */
  async drain(): Promise<void> {
    await this.#ask({ kind: "drain" }).catch(() => {});
    this.close();
  }

  /** Ends the takeover. Before `take`, the predecessor goes on as if nothing had been asked. */
  close(): void {
    this.#pipe.close();
  }

  #heard(line: string, handle: object | undefined): void {
    const answer = this.#answer;
    this.#answer = undefined;
    try {
      answer?.(parseReply(line), handle);
    } catch (error) {
      answer?.(isAshlarError(error) ? error : gone(), undefined);
    }
  }

  #ask(request: Request): Promise<{ readonly reply: Reply; readonly handle: object | undefined }> {
    return new Promise((resolve, reject) => {
      if (this.#ended) return reject(gone());
      const late = setTimeout(() => {
        this.#answer?.(silent(), undefined);
        this.close();
      }, replyMsMax);
      this.#answer = (reply, handle) => {
        this.#answer = undefined;
        clearTimeout(late);
        if (reply instanceof AshlarError) reject(reply);
        else resolve({ reply, handle });
      };
      this.#pipe.send(encodeMessage(request));
    });
  }
}

function gone(): AshlarError {
  return new AshlarError(
    "unavailable",
    "the proxy that ran on this data folder ended during the takeover: start again",
  );
}

function silent(): AshlarError {
  const what = `the proxy that runs on this data folder does not answer within ${replyMsMax} ms`;
  return new AshlarError("unavailable", `${what}: stop it, and start again`);
}

function unexpected(reply: Reply): AshlarError {
  if (reply.kind === "refused") return new AshlarError("exists", reply.why);
  return new AshlarError("internal", `an unexpected answer in a takeover: ${reply.kind}`);
}
