/** The suite's reference server as an application of the mesh: gRPC over plain HTTP/2 on a loopback port. */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { whenKilled } from "../when-killed.js";

/** Larger messages are refused, as the suite asks for. */
const messageBytesMax = 200 * 1024;

export class ReferenceServer {
  readonly #child: ChildProcess;
  readonly port: number;
  readonly #takeBack: () => void;

  private constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.port = port;
    this.#takeBack = whenKilled({ end: async () => this.stop(), endNow: () => child.kill() });
  }

  static start(program: string): Promise<ReferenceServer> {
    const child = spawn(program, ["-json"], { stdio: ["pipe", "pipe", "inherit"] });
    const asked = { protocol: "PROTOCOL_GRPC", httpVersion: "HTTP_VERSION_2", messageReceiveLimit: messageBytesMax };
    child.stdin.end(JSON.stringify(asked));
    return new Promise((resolve, reject) => {
      child.once("error", reject);
      child.once("exit", (code) => reject(new Error(`the suite's reference server ended with ${code}`)));
      let told = "";
      createInterface({ input: child.stdout }).on("line", (line) => {
        told += line;
        const port = /"port":\s*(\d+)/.exec(told)?.[1];
        if (port !== undefined) resolve(new ReferenceServer(child, Number(port)));
      });
    });
  }

  stop(): void {
    this.#takeBack();
    this.#child.kill();
  }
}
