import type { Socket } from "node:net";
import { StringDecoder } from "node:string_decoder";
import { AshlarError } from "../../core/errors.js";
import { lineCharactersMax } from "./control-messages.js";

/** Resolves with the first line. Fails if it is too long or does not arrive in time. */
export function readLine(socket: Socket, msMax: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const decoder = new StringDecoder("utf8");
    let text = "";
    const late = setTimeout(() => end(new AshlarError("deadline", `no line came within ${msMax / 1000} s`)), msMax);
    const end = (error: Error): void => {
      clearTimeout(late);
      reject(error);
    };
    socket.on("data", (bytes) => {
      text += decoder.write(bytes);
      const at = text.indexOf("\n");
      if (at < 0 && text.length <= lineCharactersMax) return;
      socket.removeAllListeners("data");
      clearTimeout(late);
      if (at < 0 || at > lineCharactersMax) end(new AshlarError("limit", "a line that is too long"));
      else resolve(text.slice(0, at));
    });
    socket.on("close", () => end(new AshlarError("unavailable", "the connection ended before the answer came")));
    socket.on("error", end);
  });
}
