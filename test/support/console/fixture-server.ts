/** Serves the console's pages in front of a fake mesh, for tests and for work on the pages. */
import { readFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, normalize } from "node:path";

export type Answers = Readonly<Record<string, (request: Record<string, unknown>) => unknown>>;

/** The answers of the fake mesh. */
export interface Fixture {
  /** The answers by method. A method that is missing answers "unimplemented". */
  readonly unary: Answers;
  /**
   * By method: what a stream begins with, and what it sends every `everyMs` after that. Without `everyMs` the stream
   * ends.
   */
  readonly streams: Readonly<
    Record<
      string,
      {
        readonly first: (request: Record<string, unknown>) => readonly unknown[];
        readonly next?: () => unknown;
        readonly everyMs?: number;
      }
    >
  >;
  readonly session: unknown;
}

const types: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
  ".woff2": "font/woff2",
};

/** The headers that the control plane sends with every page. */
const policy =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** An error of the admin API, to be thrown from an answer. */
export class Refused extends Error {
  readonly code: string;
  readonly status: number;

  constructor(code: string, message: string, status = 400) {
    super(message);
    this.code = code;
    this.status = status;
  }
}

export interface FixtureServer {
  readonly url: string;
  /** The requests that the pages made, in order. */
  readonly asked: { readonly method: string; readonly request: unknown }[];
  /** true: answers nothing any more, like a control plane that is down. false: answers again. */
  readonly setAway: (away: boolean) => void;
  readonly close: () => Promise<void>;
}

export async function serveFixture(fixture: () => Fixture, dist: string): Promise<FixtureServer> {
  const asked: FixtureServer["asked"] = [];
  let away = false;
  const server = createServer((request, response) => {
    if (away) return void request.socket.destroy();
    answer(request, response, fixture(), dist, asked).catch((error: unknown) => {
      const refused = error instanceof Refused ? error : new Refused("internal", String(error), 500);
      response.writeHead(refused.status, { "content-type": "application/json" });
      response.end(JSON.stringify({ code: refused.code, message: refused.message }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    asked,
    setAway: (now) => {
      away = now;
      if (now) server.closeAllConnections();
    },
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  fixture: Fixture,
  dist: string,
  asked: FixtureServer["asked"],
): Promise<void> {
  const url = new URL(request.url ?? "/", "http://console");
  const method = url.pathname.split("/").at(-1) ?? "";
  if (url.pathname.startsWith("/api/stream/")) {
    const said = JSON.parse(url.searchParams.get("request") ?? "{}");
    asked.push({ method, request: said });
    return stream(response, fixture, method, said);
  }
  if (url.pathname === "/api/session") return sendJson(response, fixture.session);
  if (url.pathname === "/api/logout") return sendJson(response, {});
  if (url.pathname.startsWith("/api/")) {
    const said = JSON.parse((await readBody(request)) || "{}") as Record<string, unknown>;
    asked.push({ method, request: said });
    const reply = fixture.unary[method];
    if (reply === undefined) throw new Refused("unimplemented", `${method} is not made up`, 501);
    return sendJson(response, reply(said));
  }
  const path = normalize(url.pathname === "/" ? "/index.html" : url.pathname);
  const body = await readFile(join(dist, path)).catch(() => undefined);
  if (body === undefined) throw new Refused("not_found", `no file ${path}`, 404);
  const type = types[extname(path)] ?? "application/octet-stream";
  response.writeHead(200, { "content-type": type, "content-security-policy": policy });
  response.end(body);
}

function sendJson(response: ServerResponse, body: unknown): void {
  response.writeHead(200, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
}

function stream(response: ServerResponse, fixture: Fixture, method: string, said: Record<string, unknown>): void {
  const source = fixture.streams[method];
  if (source === undefined) throw new Refused("unimplemented", `${method} is not made up`, 501);
  response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
  const send = (message: unknown): unknown => response.write(`data: ${JSON.stringify(message)}\n\n`);
  for (const message of source.first(said)) send(message);
  const { next, everyMs } = source;
  if (everyMs === undefined) {
    response.end("event: end\ndata: {}\n\n");
    return;
  }
  const timer = next && setInterval(() => send(next()), everyMs);
  response.on("close", () => clearInterval(timer));
}

async function readBody(request: IncomingMessage): Promise<string> {
  let body = "";
  for await (const chunk of request) body += String(chunk);
  return body;
}
