/**
 * The "server under test" that the suite's runner starts for each kind of connection: it tells where the gateway's listener
 * is and waits to be stopped. `server.js FILE`: a JSON file with `descriptors`, `plain` and `tls`.
 */
import { readFileSync } from "node:fs";
import { type ServerAnswer, ServerMessages } from "./answers.js";

/** What the server under test reads: a file of descriptors, and what it tells about either listener. */
export interface UnderTest {
  readonly descriptors: string;
  readonly plain: ServerAnswer;
  readonly tls: ServerAnswer;
}

const underTest: UnderTest = JSON.parse(readFileSync(process.argv[2] ?? "", "utf8"));
const messages = new ServerMessages(readFileSync(underTest.descriptors));
let read = Buffer.alloc(0);
for await (const bytes of process.stdin) {
  read = Buffer.concat([read, bytes]);
  const request = messages.parseRequest(read);
  if (request === undefined) continue;
  process.stdout.write(messages.encodeAnswer(request.useTls ? underTest.tls : underTest.plain));
  break;
}
// The runner ends this process by SIGTERM when it has all answers; it ends by itself if the runner is gone.
const startedBy = process.ppid;
setInterval(() => {
  if (process.ppid !== startedBy) process.exit(0);
}, 1000);
