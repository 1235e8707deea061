/** The console over HTTP: login, the admin API as JSON, streams of events, and the pages. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { AshlarError, isAshlarError } from "../../core/errors.js";
import { onAbort } from "../../runtime/abort.js";
import { tellable } from "../../runtime/grpc-status.js";
import type { EventStreams } from "./event-streams.js";
import { sendError, sendJson, sendText, setCommonHeaders } from "./http-answers.js";
import type { Login } from "./login.js";
import { loginStyle, loginStylePath } from "./login-pages.js";
import type { MethodCalls, SessionCall } from "./method-calls.js";
import { parseJson, RequestBodies } from "./request-body.js";
import { type ConsolePlace, cookieOf, requireHost, requireOwnFetch, requireOwnOrigin } from "./request-checks.js";
import type { Session, Sessions } from "./sessions.js";
import type { StaticFiles } from "./static-files.js";

export interface ConsoleServerDeps {
  readonly mesh: string;
  readonly place: ConsolePlace;
  readonly cookieName: string;
  readonly sessions: Sessions;
  readonly login: Login;
  readonly calls: MethodCalls;
  readonly streams: EventStreams;
  readonly files: StaticFiles;
  /**
   * Tells the listener that a connection belongs to a session. Returns false if there are too many and it was dropped.
   */
  readonly prove: (socket: Socket, name: string) => boolean;
  /** Receives faults of our own code. */
  readonly onFault: (error: unknown, path: string) => void;
}

/**
 * The most bytes of a request: 8 MiB of policy files as JSON, whose escapes take more room than the protobuf encoding.
 */
const callBytesMax = 12 * 1024 * 1024;
const callsOfSessionMax = 16;
const loginBytesMax = 4096;
const requestTextMax = 16 * 1024;

/** Returns a server that receives connections by `emit("connection", socket)`; its times and headers are bounded. */
export function createConsoleServer(deps: ConsoleServerDeps): Server {
  const server = new ConsoleServer(deps);
  const bounds = { headersTimeout: 10_000, requestTimeout: 30_000, keepAliveTimeout: 15_000, maxHeaderSize: 16_384 };
  const http = createServer({ ...bounds, connectionsCheckingInterval: 1000 }, (request, response) => {
    void server.answer(request, response);
  });
  http.maxHeadersCount = 64;
  http.maxRequestsPerSocket = 10_000;
  return http;
}

class ConsoleServer {
  readonly #deps: ConsoleServerDeps;
  readonly #bodies = new RequestBodies();
  /** The number of running calls, by session. */
  readonly #running = new WeakMap<Session, number>();

  constructor(deps: ConsoleServerDeps) {
    this.#deps = deps;
  }

  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    setCommonHeaders(response);
    response.on("error", () => response.destroy());
    try {
      requireHost(request, this.#deps.place);
      await this.#route(request, response);
    } catch (error) {
      if (!isAshlarError(error)) this.#deps.onFault(error, String(request.url).slice(0, 200));
      if (!request.complete) response.setHeader("connection", "close"); // its body is not read
      sendError(response, tellable(error));
    }
  }

  async #route(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = targetOf(request);
    const isPost = request.method === "POST";
    if (!isPost && request.method !== "GET" && request.method !== "HEAD") {
      response.setHeader("allow", "GET, HEAD, POST");
      return sendText(response, 405, "text/plain", "GET, HEAD or POST\n");
    }
    if (isPost) requireOwnOrigin(request, this.#deps.place);
    if (pathname.startsWith("/api/")) {
      requireOwnFetch(request);
      return this.#api(pathname.slice("/api/".length), searchParams, request, response);
    }
    const { login } = this.#deps;
    if (pathname === "/login" && !isPost) return login.show(searchParams.get("token"), response);
    if (pathname === "/login") return login.byLink(await this.#bodies.read(request, loginBytesMax), request, response);
    if (pathname === "/login/certificate" && isPost) return login.byCertificate(request, response);
    if (pathname === loginStylePath) return sendText(response, 200, "text/css", loginStyle);
    if (isPost) throw new AshlarError("not_found", "there is nothing to POST to here");
    this.#deps.files.send(pathname === "/" ? "/index.html" : pathname, request, response);
  }

  async #api(name: string, query: URLSearchParams, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const session = this.#sessionOf(request);
    const source = sourceOf(request.socket);
    if (request.method === "POST") {
      if (name !== "logout") return this.#call(name, session, request, response);
      this.#deps.login.end(request, response);
      return sendJson(response, {});
    }
    const asked = { session, source, response };
    if (name === "session") return sendJson(response, this.#describe(session));
    if (name === "watch") return this.#deps.streams.watch(query.getAll("topic"), asked);
    if (name.startsWith("stream/")) {
      const text = query.get("request") ?? "{}";
      if (text.length > requestTextMax) throw new AshlarError("limit", `request: at most ${requestTextMax} characters`);
      return this.#deps.streams.stream(name.slice("stream/".length), parseJson(text), asked);
    }
    throw new AshlarError("not_found", "GET session, watch or stream/METHOD; methods of the admin API are POSTed");
  }

  /** Returns the session of a request. Fails with `unauthenticated`. */
  #sessionOf(request: IncomingMessage): Session {
    const cookie = cookieOf(request, this.#deps.cookieName);
    const session = cookie === undefined ? undefined : this.#deps.sessions.find(cookie);
    if (session === undefined)
      throw new AshlarError("unauthenticated", "log in first: run `ashlar console` and open the link that it prints");
    if (!this.#deps.prove(request.socket, session.operator.id))
      throw new AshlarError("limit", "this operator has too many connections open");
    return session;
  }

  #describe({ operator, expiresMs }: Session): object {
    const rights = operator.readOnly ? ["look"] : ["look", "change"];
    return { operator: operator.id, rights, mesh: this.#deps.mesh, expires: expiresMs };
  }

  async #call(method: string, session: Session, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const running = this.#running.get(session) ?? 0;
    if (running >= callsOfSessionMax)
      throw new AshlarError("limit", `${callsOfSessionMax} calls of this session are being answered: wait for one`);
    this.#running.set(session, running + 1);
    const gone = new AbortController();
    const off = onAbort(session.ended, () => gone.abort());
    response.once("close", () => gone.abort());
    try {
      const body = await this.#bodies.readJson(request, callBytesMax);
      const call: SessionCall = { session, source: sourceOf(request.socket), signal: gone.signal };
      sendJson(response, await this.#deps.calls.unary(method, body, call));
    } finally {
      off();
      this.#running.set(session, (this.#running.get(session) ?? 1) - 1);
    }
  }
}

function targetOf(request: IncomingMessage): URL {
  try {
    return new URL(request.url ?? "/", "http://console");
  } catch (cause) {
    throw new AshlarError("invalid_argument", "the path of the request is none", { cause });
  }
}

function sourceOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress}:${remotePort}`;
}
