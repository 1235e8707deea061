/** Writes JSON lines to a file or to standard output through pino, beside the log. Writers never wait. */
import { pino } from "pino";

/** The most bytes that are held while the file or the reader of the pipe is slow; further lines are dropped. */
const heldBytesMax = 4 * 1024 * 1024;
/** The size of a write. Several processes may write to one pipe, which keeps writes of this size whole. */
const writeBytesMax = 4096;

export interface LineLog {
  /** Returns false if the line found no room. */
  write(line: object): boolean;
  readonly dropped: number;
  /** Resolves when all lines were written or failed. */
  close(): Promise<void>;
}

/** Opens a log. `path`: a file, or "-" for standard output. `onError` receives the first of a series of errors. */
export function openLineLog(path: string, onError: (error: Error) => void): LineLog {
  const to = pino.destination({
    dest: path === "-" ? 1 : path,
    sync: false,
    mkdir: false,
    append: true,
    maxLength: heldBytesMax,
    maxWrite: writeBytesMax,
  });
  let dropped = 0;
  let isFailing = false;
  to.on("drop", () => dropped++);
  to.on("error", (error: Error) => {
    if (!isFailing) onError(error);
    isFailing = true;
  });
  to.on("write", () => {
    isFailing = false;
  });
  const lines = pino({ base: null, timestamp: false, formatters: { level: (level) => ({ level }) } }, to);
  return {
    write(line) {
      const before = dropped;
      lines.info(line);
      return dropped === before;
    },
    get dropped() {
      return dropped;
    },
    close() {
      return new Promise((resolve) => {
        to.once("close", () => resolve());
        to.once("error", () => resolve());
        to.end();
      });
    },
  };
}
