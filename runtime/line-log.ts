/** JSON lines to a file or to standard output through pino, beside the log: nobody ever waits for them. */
import { pino } from "pino";

/** What is held while the file or the reader of the pipe is slow; what comes then is dropped. */
const heldBytesMax = 4 * 1024 * 1024;
/** Several processes may write to one pipe, which takes so many bytes as a whole. */
const writeBytesMax = 4096;

export interface LineLog {
  /** Returns false if the line found no room. */
  write(line: object): boolean;
  readonly dropped: number;
  /** Resolves when what was taken is written, or cannot be. */
  close(): Promise<void>;
}

/** `path`: "-" for standard output. `onError` is told of the first error of a row of them. */
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
