/** The pages of the console: files that its build made, read once and kept compressed. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { extname, join } from "node:path";
import { promisify } from "node:util";
import { brotliCompress, constants, gzip } from "node:zlib";
import { findProtoFolder } from "../../runtime/grpc-reflection.js";
import { sendText } from "./http-answers.js";

interface StaticFile {
  readonly type: string;
  readonly plain: Buffer;
  /** True if the file's name contains a hash of its content, so that browsers need not ask for it again. */
  readonly isHashed: boolean;
  brotli: Buffer | undefined;
  gzip: Buffer | undefined;
}

const types: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
  ".json": "application/json",
  ".woff2": "font/woff2",
  ".png": "image/png",
  ".ico": "image/x-icon",
};
const compressible: ReadonlySet<string> = new Set([".html", ".js", ".css", ".svg", ".json"]);
const hashed = /-[A-Za-z0-9_-]{8,}\.[a-z0-9]+$/;
const indexPath = "/index.html";
const notBuilt = "the pages of the console are not there: `npm run build` makes them\n";

/** Returns the folder that the build writes, which is beside proto in the package and in the sources. */
export function findPagesFolder(): string {
  return join(findProtoFolder(), "..", "console", "dist");
}

export class StaticFiles {
  readonly #files = new Map<string, StaticFile>();

  /** Reads all files of `folder`; one that is not there has none. */
  constructor(folder: string) {
    if (!existsSync(folder)) return;
    for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
      const type = types[extname(entry.name)];
      if (!entry.isFile() || type === undefined) continue;
      const path = join(entry.parentPath, entry.name);
      const name = path.slice(folder.length).replaceAll("\\", "/");
      const plain = readFileSync(path);
      this.#files.set(name, { type, plain, isHashed: hashed.test(name), brotli: undefined, gzip: undefined });
    }
  }

  /** Compresses the files once. A file that is requested before that is sent uncompressed. */
  async compress(): Promise<void> {
    for (const [name, file] of this.#files) {
      if (!compressible.has(extname(name))) continue;
      const params = { [constants.BROTLI_PARAM_QUALITY]: 9 };
      file.brotli = smaller(await promisify(brotliCompress)(file.plain, { params }), file.plain);
      file.gzip = smaller(await promisify(gzip)(file.plain, { level: 9 }), file.plain);
    }
  }

  /** Answers GET and HEAD with a file; for a path without an extension with the index, whose script knows the pages. */
  send(path: string, request: IncomingMessage, response: ServerResponse): void {
    const file = this.#files.get(path) ?? (extname(path) === "" ? this.#files.get(indexPath) : undefined);
    if (file === undefined) {
      const why = this.#files.has(indexPath) ? "there is no such page\n" : notBuilt;
      sendText(response, this.#files.has(indexPath) ? 404 : 503, "text/plain", why);
      return;
    }
    const accepted = String(request.headers["accept-encoding"] ?? "");
    const encoding =
      file.brotli !== undefined && /\bbr\b/.test(accepted)
        ? "br"
        : file.gzip && /\bgzip\b/.test(accepted)
          ? "gzip"
          : "";
    const body = encoding === "br" ? file.brotli : encoding === "gzip" ? file.gzip : file.plain;
    response.writeHead(200, {
      "content-type": file.type,
      "content-length": body?.length ?? 0,
      vary: "accept-encoding",
      "cache-control": file.isHashed ? "public, max-age=31536000, immutable" : "no-store",
      ...(encoding === "" ? {} : { "content-encoding": encoding }),
    });
    response.end(request.method === "HEAD" ? undefined : body);
  }
}

const smaller = (packed: Buffer, plain: Buffer): Buffer | undefined =>
  packed.length < plain.length ? packed : undefined;
