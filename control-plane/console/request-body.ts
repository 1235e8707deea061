/** Reads bodies of requests, each bounded, and all of them together. */
import type { IncomingMessage } from "node:http";
import { AshlarError } from "../../core/errors.js";

/** The most bytes of bodies that are being read, and of their JSON, at one time. */
const heldBytesMax = 64 * 1024 * 1024;

export class RequestBodies {
  #heldBytes = 0;

  /** Reads a body. Fails with `limit`, and with `unavailable` while other bodies use up the room. */
  async read(request: IncomingMessage, bytesMax: number): Promise<string> {
    const announced = Number(request.headers["content-length"] ?? 0);
    if (announced > bytesMax) throw tooLong(bytesMax);
    const parts: Buffer[] = [];
    let bytes = 0;
    try {
      for await (const part of request as AsyncIterable<Buffer>) {
        bytes += part.length;
        this.#heldBytes += part.length;
        if (bytes > bytesMax) throw tooLong(bytesMax);
        if (this.#heldBytes > heldBytesMax)
          throw new AshlarError("unavailable", "the console is reading too much at once: try again");
        parts.push(part);
      }
    } catch (cause) {
      if (cause instanceof AshlarError) throw cause;
      throw new AshlarError("unavailable", "the request ended before its body did", { cause });
    } finally {
      this.#heldBytes -= bytes;
    }
    return Buffer.concat(parts).toString("utf8");
  }

  /** Reads a body as JSON; an empty one is {}. Fails with `invalid_argument` too. */
  async readJson(request: IncomingMessage, bytesMax: number): Promise<unknown> {
    const type = request.headers["content-type"]?.split(";", 1)[0]?.trim().toLowerCase();
    if (type !== "application/json")
      throw new AshlarError("invalid_argument", "a request of the API has content-type application/json");
    const text = await this.read(request, bytesMax);
    return parseJson(text === "" ? "{}" : text);
  }
}

export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new AshlarError("invalid_argument", "the request is not JSON", { cause });
  }
}

function tooLong(bytesMax: number): AshlarError {
  return new AshlarError("limit", `a request has at most ${bytesMax} bytes`);
}
