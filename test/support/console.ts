/** A console server in this process in front of a fake admin API, and requests as a browser makes them. */
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { request as httpRequest, type IncomingHttpHeaders } from "node:http";
import { request as httpsRequest } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AuditDraft } from "../../control-plane/audit/audit-trail.js";
import type { ConsoleConfig } from "../../control-plane/config.js";
import { createConsoleDesk } from "../../control-plane/console/console-desk.js";
import { ConsoleTls } from "../../control-plane/console/console-tls.js";
import type { SessionOperator } from "../../control-plane/console/login-links.js";
import { openConsole } from "../../control-plane/console/open-console.js";
import { openAuthority } from "../../control-plane/identity/authority.js";
import { createOperatorJudge, gateLimits } from "../../control-plane/listeners.js";
import { buildSpiffeId } from "../../core/identity.js";
import type { Revocation } from "../../core/model.js";
import { AdminServiceService } from "../../proto/gen/ashlar/v1/admin.js";
import type { GateLimits } from "../../runtime/connection-gate.js";
import type { BoundService } from "../../runtime/grpc-handlers.js";
import { silentLogger } from "../../runtime/log.js";
import { ManualClock } from "./manual-clock.js";
import { until } from "./until.js";

export const mesh = "shop";
export const ann: SessionOperator = {
  id: buildSpiffeId(mesh, "operator", "ann"),
  certificateSerial: "0a",
  certificateExpiresMs: Number.MAX_SAFE_INTEGER,
  readOnly: false,
};

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface Asked {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** The client's certificate in PEM. Below: its key. */
  readonly cert?: string;
  readonly key?: string;
}

export interface ConsoleSettings {
  readonly plain?: boolean;
  readonly hosts?: readonly string[];
  readonly limits?: Partial<GateLimits>;
}

/** Opens a console on a free port. `audit` collects what it writes to the audit log. */
export async function openTestConsole(
  implementation: BoundService["implementation"],
  { plain = false, hosts = [], limits = {} }: ConsoleSettings = {},
) {
  const clock = new ManualClock(Date.now());
  const dir = mkdtempSync(join(tmpdir(), "ash-console-"));
  const random = (count: number) => new Uint8Array(randomBytes(count));
  const authority = openAuthority({ dir, mesh, clock, random });
  const revoked: Revocation[] = [];
  const audit: AuditDraft[] = [];
  const desk = createConsoleDesk({ clock, random, revocations: () => revoked });
  const config: ConsoleConfig = {
    listen: { host: "127.0.0.1", port: 0, isGiven: true },
    certificate: undefined,
    plain,
    hosts,
  };
  const issued = authority.issueControlPlane({ name: "main", hosts: ["127.0.0.1"] });
  const opened = await openConsole(
    {
      ...{ mesh, desk, clock, log: silentLogger },
      service: { definition: AdminServiceService as unknown as BoundService["definition"], implementation },
      audit: { record: async (draft) => void audit.push(draft) },
      judge: createOperatorJudge(mesh, () => revoked),
      tls: plain ? undefined : new ConsoleTls(authority.caPem, issued),
      limits: { ...gateLimits(1000).console, ...limits },
    },
    config,
    0,
  );
  const origin = `${plain ? "http" : "https"}://127.0.0.1:${opened.port}`;
  const ask = (path: string, asked: Asked = {}) => fetchFrom(origin, path, asked);
  const browse = (path: string, asked: Asked = {}) =>
    ask(path, { ...asked, headers: { origin, "sec-fetch-site": "same-origin", ...asked.headers } });
  const logIn = async (operator: SessionOperator = ann): Promise<string> => {
    const { token } = desk.links.create(operator);
    const answer = await browse("/login", { method: "POST", body: `token=${token}` });
    return String(answer.headers["set-cookie"]).split(";", 1)[0] ?? "";
  };
  const call = (cookie: string, method: string, body: unknown = {}) =>
    browse(`/api/${method}`, {
      method: "POST",
      body: JSON.stringify(body),
      headers: { cookie, "content-type": "application/json" },
    });
  const close = (): void => {
    opened.close();
    rmSync(dir, { recursive: true, force: true });
  };
  return { ...opened, origin, authority, clock, desk, audit, revoked, ask, browse, logIn, call, close };
}

export type TestConsole = Awaited<ReturnType<typeof openTestConsole>>;

/** Makes one request on a connection of its own. */
export function fetchFrom(origin: string, path: string, { method = "GET", headers, body, cert, key }: Asked) {
  const secure = { rejectUnauthorized: false, ...(cert === undefined ? {} : { cert, key }) };
  const send = origin.startsWith("https") ? httpsRequest : httpRequest;
  return new Promise<Answer>((resolve, reject) => {
    const request = send(`${origin}${path}`, { method, headers, agent: false, ...secure }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (part: string) => {
        text += part;
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text }));
      response.on("error", reject);
    });
    request.on("error", reject);
    request.end(body);
  });
}

export interface OpenEvents {
  readonly headers: IncomingHttpHeaders;
  /** All text that has arrived. */
  readonly text: string;
  /** Resolves when the server has ended the stream. */
  readonly ended: Promise<void>;
  /** Resolves when the text matches. */
  has(pattern: RegExp): Promise<void>;
  leave(): void;
}

/** Follows events. Resolves when the answer begins. */
export function openEvents(origin: string, path: string, cookie: string): Promise<OpenEvents> {
  const send = origin.startsWith("https") ? httpsRequest : httpRequest;
  return new Promise((resolve, reject) => {
    const request = send(
      `${origin}${path}`,
      { headers: { cookie }, agent: false, rejectUnauthorized: false },
      (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (part: string) => {
          text += part;
        });
        response.on("error", () => {});
        resolve({
          headers: response.headers,
          get text() {
            return text;
          },
          ended: new Promise((end) => response.once("close", end)),
          has: (pattern) =>
            until(
              `${path} brings ${pattern}`,
              () => pattern.test(text),
              15_000,
              () => text.slice(-500),
            ),
          leave: () => request.destroy(),
        });
      },
    );
    request.on("error", reject);
    request.end();
  });
}
