/** Login and logout: by a link that `ashlar console` printed, or by an operator's certificate. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { TLSSocket } from "node:tls";
import { AshlarError, isAshlarError } from "../../core/errors.js";
import { nameIn } from "../../core/identity.js";
import type { Clock } from "../../runtime/clock.js";
import type { Svid } from "../../runtime/tls-identity.js";
import type { AuditTrail } from "../audit/audit-trail.js";
import { redirect, sendText } from "./http-answers.js";
import type { LoginLinks, SessionOperator } from "./login-links.js";
import { renderLogin, renderNoCertificate, renderOpenLink } from "./login-pages.js";
import { cookieOf } from "./request-checks.js";
import { type Sessions, sessionMsMax } from "./sessions.js";

export interface LoginDeps {
  readonly mesh: string;
  readonly isTls: boolean;
  readonly cookieName: string;
  readonly links: LoginLinks;
  readonly sessions: Sessions;
  readonly audit: AuditTrail;
  readonly clock: Pick<Clock, "nowMs">;
  /** Judges a certificate that the handshake verified; fails with `invalid_identity`. */
  readonly judge: (certificate: Uint8Array, nowMs: number) => Svid;
}

/** A token: 32 bytes in base64url. */
const tokenForm = /^[A-Za-z0-9_-]{43}$/;

export class Login {
  readonly #deps: LoginDeps;

  constructor(deps: LoginDeps) {
    this.#deps = deps;
  }

  /** Shows what a link would do, without using it. */
  show(token: string | null, response: ServerResponse): void {
    const { links } = this.#deps;
    const isToken = token !== null && tokenForm.test(token);
    const state = isToken ? links.find(token) : { kind: "unknown" as const };
    if (token === null) sendPage(response, 200, renderLogin(this.#deps, undefined));
    else if (state.kind === "open") sendPage(response, 200, renderOpenLink(this.#deps, state.operator, token));
    else sendPage(response, 410, renderLogin(this.#deps, state));
  }

  /** Logs in by a link; `form` is the body of the POST. */
  async byLink(form: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const token = new URLSearchParams(form).get("token") ?? "";
    const source = sourceOf(request);
    const state = tokenForm.test(token) ? this.#deps.links.take(token, source) : { kind: "unknown" as const };
    if (state.kind === "open") return this.#begin(state.operator, "by link", request, response);
    const outcome = state.kind === "used" ? "exists" : "not_found";
    await this.#note(
      "anonymous",
      source,
      outcome,
      `a link that ${state.kind === "used" ? "was used before" : "does not work"}`,
    );
    sendPage(response, 410, renderLogin(this.#deps, state));
  }

  /** Logs in by the certificate that the browser presented in its handshake. */
  async byCertificate(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      await this.#begin(this.#operatorOf(request), "by certificate", request, response);
    } catch (error) {
      if (!isAshlarError(error)) throw error;
      await this.#note("anonymous", sourceOf(request), error.code, error.message);
      sendPage(response, 403, renderNoCertificate(error.message));
    }
  }

  /** Ends the session of a request. */
  end(request: IncomingMessage, response: ServerResponse): void {
    const cookie = cookieOf(request, this.#deps.cookieName);
    if (cookie !== undefined) this.#deps.sessions.end(cookie);
    response.setHeader("set-cookie", this.#cookie("", 0));
  }

  #operatorOf({ socket }: IncomingMessage): SessionOperator {
    const { mesh, judge, clock } = this.#deps;
    const raw = socket instanceof TLSSocket ? socket.getPeerCertificate()?.raw : undefined;
    if (!(socket instanceof TLSSocket) || raw === undefined)
      throw new AshlarError("unauthenticated", "this browser showed no certificate");
    if (!socket.authorized)
      throw new AshlarError(
        "unauthenticated",
        "the certificate that this browser showed is of another authority than this mesh's",
      );
    const { spiffeId, serial, notAfterMs } = judge(raw, clock.nowMs());
    if (nameIn(spiffeId, mesh, "operator") === undefined)
      throw new AshlarError("denied", `${spiffeId} is not an operator of mesh ${mesh}`);
    return { id: spiffeId, certificateSerial: serial, certificateExpiresMs: notAfterMs, readOnly: false };
  }

  async #begin(
    operator: SessionOperator,
    how: string,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const may = operator.readOnly ? ", to look alone" : "";
    await this.#note(operator.id, sourceOf(request), "ok", `${how}, certificate ${operator.certificateSerial}${may}`);
    const { cookie } = this.#deps.sessions.begin(operator);
    response.setHeader("set-cookie", this.#cookie(cookie, sessionMsMax / 1000));
    redirect(response, "/");
  }

  #cookie(value: string, seconds: number): string {
    const secure = this.#deps.isTls ? "; Secure" : "";
    return `${this.#deps.cookieName}=${value}; Path=/; Max-Age=${seconds}; HttpOnly; SameSite=Strict${secure}`;
  }

  #note(actor: string, source: string, outcome: string, detail: string): Promise<void> {
    return this.#deps.audit.record({ actor, source, action: "login", target: "console", outcome, detail });
  }
}

function sendPage(response: ServerResponse, status: number, html: string): void {
  sendText(response, status, "text/html", html);
}

const sourceOf = ({ socket }: IncomingMessage): string => `${socket.remoteAddress}:${socket.remotePort}`;
