/** Load that runs until it is stopped and counts failures: unary calls, and connections that are opened and closed. */
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { EchoClient } from "./echo-client.js";

export interface Load {
  readonly done: number;
  /** The number of failures, by their text. */
  readonly failed: ReadonlyMap<string, number>;
  stop(): Promise<void>;
}

/**
 * Repeats `once` in `lanes` parallel loops with a pause of `pauseMs`. `once` resolves to undefined or to the failure.
 */
export function repeat(once: () => Promise<string | undefined>, lanes = 1, pauseMs = 5): Load {
  const failed = new Map<string, number>();
  let [done, stopped] = [0, false];
  const run = async (): Promise<void> => {
    while (!stopped) {
      const why = await once();
      done += 1;
      if (why !== undefined) failed.set(why, (failed.get(why) ?? 0) + 1);
      await sleep(pauseMs);
    }
  };
  const running = Array.from({ length: lanes }, run);
  return {
    get done() {
      return done;
    },
    failed,
    stop: async () => {
      stopped = true;
      await Promise.all(running);
    },
  };
}

export function unaryCalls(client: EchoClient, lanes = 4): Load {
  return repeat(async () => {
    const { code, details } = await client.unary({ text: "x" });
    return code === 0 ? undefined : `${code} ${details}`;
  }, lanes);
}

/** Connects again and again. A refused connection, or a missing socket, is a failure. */
export function knocks(target: { readonly path: string } | { readonly host: string; readonly port: number }): Load {
  return repeat(
    () =>
      new Promise<string | undefined>((resolve) => {
        const socket = connect({ ...target });
        socket.once("connect", () => {
          socket.destroy();
          resolve(undefined);
        });
        socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
      }),
  );
}
