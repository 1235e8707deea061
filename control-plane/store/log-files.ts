/** The files of a log on this control plane's own disk. */
import { join } from "node:path";
import { type FileLog, openFileLog } from "./file-copy.js";
import { type IntentFile, openIntentFile } from "./intent-file.js";
import { type LogBegins, openLogBegins } from "./log-begins.js";
import { openRivalFile, type RivalFile } from "./rival-file.js";

export interface LogFiles {
  readonly copy: FileLog;
  readonly begins: LogBegins;
  readonly intent: IntentFile;
  readonly rivals: RivalFile;
}

export async function openLogFiles(dir: string, name: string): Promise<LogFiles> {
  const file = join(dir, name);
  return {
    copy: await openFileLog(`${file}.log`),
    begins: await openLogBegins(`${file}.begins`),
    intent: await openIntentFile(`${file}.intent`),
    rivals: await openRivalFile(`${file}.rivals`),
  };
}
