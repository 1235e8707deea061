// Passes TCP connections on: node relay.mjs HOST:PORT HOST:PORT (from, to). Prints "ready" when it listens.
import { connect, createServer } from "node:net";

const [from, to] = process.argv.slice(2).map((text) => {
  const at = text.lastIndexOf(":");
  return { host: text.slice(0, at), port: Number(text.slice(at + 1)) };
});
const server = createServer((near) => {
  const far = connect(to);
  for (const [one, other] of [
    [near, far],
    [far, near],
  ]) {
    one.pipe(other);
    one.on("error", () => other.destroy());
    one.on("close", () => other.destroy());
  }
});
server.listen(from, () => console.log("ready"));
