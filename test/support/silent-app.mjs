// An application for tests that takes every connection and never says a word: node silent-app.mjs PATH
// Prints "ready" when it listens.
import { createServer } from "node:net";

const server = createServer((socket) => {
  socket.on("error", () => {});
  socket.resume();
});
server.listen(process.argv[2], () => console.log("ready"));
process.on("SIGTERM", () => process.exit(0));
