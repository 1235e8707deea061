/**
 * Hands this proxy over to a successor on the same data folder: listening sockets, name, application (decision 0041).
 */
import { createServer, type Server } from "node:net";
import { dirname } from "node:path";
import { messageOf } from "../../core/errors.js";
import { whenAborted } from "../../runtime/abort.js";
import type { Clock } from "../../runtime/clock.js";
import { listenOn } from "../../runtime/listen.js";
import type { Logger } from "../../runtime/log.js";
import { acceptHandlePipe, canPassHandles, type HandlePipe } from "../../runtime/pass-handles.js";
import { makeSocketFolder } from "../../runtime/socket-folder.js";
import type { AppRegistration } from "../ports.js";
import type { Doors } from "./doors.js";
import { encodeMessage, parseRequest, type Reply, type Request, takeoverVersion } from "./messages.js";
import { takeoverPath } from "./takeover-path.js";

export interface TakeoverDeps {
  readonly doors: Doors;
  readonly clock: Clock;
  readonly log: Logger;
  readonly dataDir: string;
  readonly service: string;
  /**
   * Holds still: once it resolves, nothing is written or stated for this proxy. Returns the highest counter of its
   * statements.
   */
  hold(): Promise<number>;
  /** Goes on after `hold` because the successor gave up. */
  goOn(): void;
  /** Returns the application that an SDK registered and that takes calls. */
  app(): AppRegistration | undefined;
  /** Writes and says nothing of this proxy any more: another process does. */
  yield(): void;
}

export interface TakeoverServer {
  /** Resolves when a successor has taken over. This process then drains. */
  readonly handedOver: Promise<void>;
  /** Resolves when no takeover is running, with true if a successor has taken over. */
  settled(): Promise<boolean>;
  close(): void;
}

/** How long a successor may take until it has taken over, in milliseconds. Then this process goes on. */
const holdMsMax = 30_000;

/** Listens for a successor. If that fails, it is logged, and the proxy serves without being able to hand over. */
export async function openTakeover(deps: TakeoverDeps): Promise<TakeoverServer> {
  const takeover = new Takeover(deps);
  await takeover.listen();
  return takeover;
}

class Takeover implements TakeoverServer {
  readonly #deps: TakeoverDeps;
  readonly handedOver: Promise<void>;
  #resolve: () => void = () => {};
  #server: Server | undefined;
  #held: { readonly pipe: HandlePipe; readonly end: AbortController; readonly ended: Promise<void> } | undefined;
  #yielded = false;

  constructor(deps: TakeoverDeps) {
    this.#deps = deps;
    this.handedOver = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  async listen(): Promise<void> {
    const { dataDir, doors, log } = this.#deps;
    const path = takeoverPath(dataDir);
    if (!canPassHandles()) {
      log.info("no successor can take this proxy over while it runs: this Node cannot pass listening sockets");
      return;
    }
    try {
      await makeSocketFolder(dirname(path));
      const server = createServer({ pauseOnConnect: true }, (socket) => {
        try {
          this.#serve(acceptHandlePipe(socket));
        } catch (error) {
          log.warn("a successor cannot be served", { why: messageOf(error) });
        }
      });
      server.unref();
      const address = await doors.at("takeover", { path });
      await listenOn(server, address);
      doors.replace();
      this.#server = server;
    } catch (error) {
      log.warn("no successor can take this proxy over while it runs", { why: messageOf(error) });
    }
  }

  async settled(): Promise<boolean> {
    await this.#held?.ended;
    return this.#yielded;
  }

  close(): void {
    this.#server?.close();
    this.#held?.pipe.close();
  }

  #serve(pipe: HandlePipe): void {
    const answer = async (line: string): Promise<void> => {
      try {
        await this.#take(pipe, parseRequest(line));
      } catch (error) {
        const why = messageOf(error);
        this.#deps.log.warn("a takeover failed", { why });
        say(pipe, { kind: "refused", why });
        pipe.close();
      }
    };
    pipe.start(
      (line) => void answer(line),
      () => this.#ended(pipe),
    );
  }

  async #take(pipe: HandlePipe, request: Request): Promise<void> {
    if (request.kind === "hold") return this.#hold(pipe, request);
    if (this.#held?.pipe !== pipe) throw new Error("no takeover has begun on this connection");
    switch (request.kind) {
      case "socket": {
        const server = this.#deps.doors.find(request.name, request.address);
        return say(pipe, { kind: "socket", passed: server !== undefined }, server);
      }
      case "take":
        this.#yielded = true;
        this.#deps.yield();
        return say(pipe, { kind: "yours" });
      case "drain":
        say(pipe, { kind: "draining" });
        return this.#handOver();
    }
  }

  async #hold(pipe: HandlePipe, { version, service }: Extract<Request, { kind: "hold" }>): Promise<void> {
    const why = this.#refusal(version, service);
    if (why !== undefined) return say(pipe, { kind: "refused", why });
    const { clock, log } = this.#deps;
    const end = new AbortController();
    this.#held = { pipe, end, ended: whenAborted(end.signal) };
    log.info("a successor starts on this data folder: it takes over when it serves");
    void clock.sleep(holdMsMax, end.signal).then(() => {
      if (end.signal.aborted || this.#yielded) return;
      log.warn("the successor does not serve in time: this proxy goes on", { msMax: holdMsMax });
      pipe.close();
    });
    const counter = await this.#deps.hold();
    if (this.#held?.pipe === pipe) say(pipe, { kind: "held", counter, app: this.#deps.app() });
  }

  #refusal(version: number, service: string): string | undefined {
    const { dataDir, service: own } = this.#deps;
    const place = `the data folder ${dataDir} (process ${process.pid})`;
    if (service !== own) return `a proxy of ${own} runs on ${place}: stop it, or give another --data`;
    if (version !== takeoverVersion) return `a proxy of another version runs on ${place}: stop it first`;
    if (this.#held !== undefined || this.#yielded) return `another process is taking over the proxy on ${place}`;
    return undefined;
  }

  /** Handles the end of the connection: this process drains if the successor has taken over, and goes on otherwise. */
  #ended(pipe: HandlePipe): void {
    if (this.#held?.pipe !== pipe) return;
    const { end } = this.#held;
    if (this.#yielded) this.#handOver();
    else {
      this.#held = undefined;
      this.#deps.log.warn("the successor ended before it served: this proxy goes on");
      this.#deps.goOn();
    }
    end.abort();
  }

  #handOver(): void {
    this.#held?.end.abort();
    this.#resolve();
  }
}

function say(pipe: HandlePipe, reply: Reply, server?: Server): void {
  pipe.send(encodeMessage(reply), server);
}
