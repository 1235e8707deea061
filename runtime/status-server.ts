import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { setImmediate as nextTurn } from "node:timers/promises";
import { AshlarError, messageOf } from "../core/errors.js";
import type { HostPort } from "./config.js";
import { type HandedAddress, listenOn } from "./listen.js";
import type { Logger } from "./log.js";
import { type MetricsFormat, type MetricsText, metricsContentTypes, metricsFormatFor } from "./metrics-text.js";

export interface StatusSources {
  /** The reasons not to be ready; empty if the proxy is ready. */
  reasonsNotReady(): readonly string[];
  /** The problems of a proxy that serves, one line each. */
  problems(): readonly string[];
  metrics(format: MetricsFormat): Promise<MetricsText>;
  /** Returns the sources of one service in a process with several, for requests with `?service=NAME`. */
  of?(service: string): StatusSources | undefined;
}

export interface StatusBounds {
  /** Connections that may be open; a further one is closed at once. */
  readonly connectionsMax: number;
  /** A connection that sends and takes nothing for so long is closed. */
  readonly stalledMsMax: number;
}

const usualBounds: StatusBounds = { connectionsMax: 64, stalledMsMax: 30_000 };
const warnEveryMs = 60_000;

export interface StatusServer {
  readonly address: HostPort;
  close(): void;
}

/**
 * Serves /healthz, /readyz and /metrics of a proxy or control plane; with ?service=NAME those of one of several
 * services. Connections that find no room are refused and logged, at most once a minute. Fails with `unavailable` if the port
 * is taken.
 */
export async function openStatusServer(
  sources: StatusSources,
  wanted: HandedAddress<HostPort>,
  log: Pick<Logger, "warn">,
  { connectionsMax, stalledMsMax }: StatusBounds = usualBounds,
): Promise<StatusServer> {
  const scrapes = new Scrapes();
  const server = createServer({ requestTimeout: 5000, headersTimeout: 5000 }, (request, response) => {
    answer(sources, scrapes, request, response).catch((error: unknown) => send(response, 500, `${messageOf(error)}\n`));
  });
  server.maxConnections = connectionsMax;
  server.timeout = stalledMsMax; // who reads nothing must not keep scrapers out
  let [refused, warnedMs] = [0, Number.NEGATIVE_INFINITY];
  server.on("drop", (from) => {
    refused += 1;
    if (performance.now() - warnedMs < warnEveryMs) return;
    warnedMs = performance.now();
    log.warn(
      "--status refuses connections: as many are open as there may be; scrape less often, or from fewer places",
      {
        ...{ open: connectionsMax, refused, from: from?.remoteAddress },
      },
    );
    refused = 0;
  });
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

/** Answers simultaneous scrapes with one text, so that many of them cost no more than one. */
class Scrapes {
  readonly #running = new Map<string, Promise<MetricsText>>();

  metrics(sources: StatusSources, service: string, format: MetricsFormat): Promise<MetricsText> {
    const key = `${format} ${service}`;
    const running = this.#running.get(key);
    if (running !== undefined) return running;
    const begun = sources.metrics(format).finally(() => this.#running.delete(key));
    this.#running.set(key, begun);
    return begun;
  }
}

async function answer(
  all: StatusSources,
  scrapes: Scrapes,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (request.method !== "GET" && request.method !== "HEAD") {
    send(response, 405, "GET only\n");
    return;
  }
  const [path, query = ""] = request.url?.split("?", 2) ?? [];
  const service = new URLSearchParams(query).get("service") ?? "";
  const sources = service === "" || all.of === undefined ? all : all.of(service);
  if (sources === undefined) {
    send(response, 404, "no proxy of this service runs here\n");
    return;
  }
  switch (path) {
    case "/healthz":
      send(response, 200, lines(["ok", ...sources.problems()]));
      break;
    case "/readyz": {
      const reasons = sources.reasonsNotReady();
      send(response, reasons.length === 0 ? 200 : 503, reasons.length === 0 ? "ready\n" : lines(reasons));
      break;
    }
    case "/metrics": {
      const format = metricsFormatFor(request.headers.accept);
      await sendInTurns(response, await scrapes.metrics(sources, service, format), metricsContentTypes[format]);
      break;
    }
    default:
      send(response, 404, "/healthz, /readyz or /metrics\n");
  }
}

/** Sends each piece in a turn of its own, because writing them down as bytes takes time too. */
async function sendInTurns(response: ServerResponse, pieces: MetricsText, type: string): Promise<void> {
  response.writeHead(200, { "content-type": type, "cache-control": "no-store" });
  for (const piece of pieces) {
    if (piece === "") continue;
    response.write(piece);
    await nextTurn();
    if (response.destroyed) return;
  }
  response.end();
}

const lines = (all: readonly string[]): string => all.map((line) => `${line}\n`).join("");

function send(response: ServerResponse, code: number, body: string, type = "text/plain; charset=utf-8"): void {
  if (response.headersSent) return;
  response.writeHead(code, { "content-type": type, "cache-control": "no-store" }).end(body);
}
