import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { AshlarError, messageOf } from "../../core/errors.js";
import type { HostPort } from "../../runtime/config.js";
import { listenOn } from "../../runtime/listen.js";

export interface StatusSources {
  /** The reasons not to be ready; empty if the proxy is ready. */
  reasonsNotReady(): readonly string[];
  /** The problems of a proxy that serves, one line each. */
  problems(): readonly string[];
  metrics(): Promise<string>;
  readonly metricsContentType: string;
}

export interface StatusServer {
  readonly address: HostPort;
  close(): void;
}

/** Serves /healthz, /readyz and /metrics. Fails with `unavailable` if the port is taken. */
export async function openStatusServer(sources: StatusSources, wanted: HostPort): Promise<StatusServer> {
  const server = createServer({ requestTimeout: 5000, headersTimeout: 5000 }, (request, response) => {
    answer(sources, request, response).catch((error: unknown) => send(response, 500, `${messageOf(error)}\n`));
  });
  server.maxConnections = 64;
  const address = await listenOn(server, wanted).catch((cause: unknown) => {
    throw new AshlarError("unavailable", `--status: ${messageOf(cause)}`, { cause });
  });
  return {
    address,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

async function answer(sources: StatusSources, request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.method !== "GET" && request.method !== "HEAD") {
    send(response, 405, "GET only\n");
    return;
  }
  switch (request.url?.split("?", 1)[0]) {
    case "/healthz":
      send(response, 200, lines(["ok", ...sources.problems()]));
      break;
    case "/readyz": {
      const reasons = sources.reasonsNotReady();
      send(response, reasons.length === 0 ? 200 : 503, reasons.length === 0 ? "ready\n" : lines(reasons));
      break;
    }
    case "/metrics":
      send(response, 200, await sources.metrics(), sources.metricsContentType);
      break;
    default:
      send(response, 404, "/healthz, /readyz or /metrics\n");
  }
}

const lines = (all: readonly string[]): string => all.map((line) => `${line}\n`).join("");

function send(response: ServerResponse, code: number, body: string, type = "text/plain; charset=utf-8"): void {
  if (response.headersSent) return;
  response.writeHead(code, { "content-type": type, "cache-control": "no-store" }).end(body);
}
