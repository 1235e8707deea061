/** Load that goes on until it is stopped, and counts what failed: unary calls, and connections that are made and closed. */
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { EchoClient } from "./echo-client.js";

export interface Load {
  readonly done: number;
  /** What failed, by its text. */
  readonly failed: ReadonlyMap<string, number>;
  stop(): Promise<void>;
}

/** Repeats `once`, which resolves to undefined or to what failed, `lanes` at a time with a pause of some milliseconds. */
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

/** Connects again and again; a connection that is refused, or whose place is missing, failed. */
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
