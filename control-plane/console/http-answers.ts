/** The answers of the console: the headers of every answer, and errors as JSON. */
import type { ServerResponse } from "node:http";
import type { AshlarError, ErrorCode } from "../../core/errors.js";
import { violationsOf } from "../../runtime/grpc-status.js";

/** What a page may load and who may frame it: only the console itself. */
const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "font-src 'self'",
  "connect-src 'self'",
  "worker-src 'self'",
  "manifest-src 'self'",
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join("; ");

/**
 * Referrers stay within the console; without any, browsers would send "Origin: null" with a form. There is no
 * Strict-Transport-Security: with a certificate of the mesh's CA, nobody could then get past the browser's warning.
 */
const everywhere: Readonly<Record<string, string>> = {
  "content-security-policy": contentSecurityPolicy,
  "x-frame-options": "DENY",
  "x-content-type-options": "nosniff",
  "referrer-policy": "same-origin",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
  "cache-control": "no-store",
};

export function setCommonHeaders(response: ServerResponse): void {
  for (const [name, value] of Object.entries(everywhere)) response.setHeader(name, value);
}

const httpStatusOf = {
  conflict: 409,
  denied: 403,
  deadline: 504,
  exists: 409,
  invalid_argument: 400,
  invalid_identity: 400,
  invalid_policy: 400,
  invalid_record: 400,
  limit: 429,
  not_found: 404,
  not_supported: 501,
  stale: 409,
  unauthenticated: 401,
  unavailable: 503,
  internal: 500,
} as const satisfies Record<ErrorCode, number>;

/** An error, as the pages receive it. */
export interface ErrorAnswer {
  readonly code: ErrorCode;
  readonly message: string;
  readonly details: readonly { readonly field: string; readonly description: string }[];
}

export function renderError(error: AshlarError): ErrorAnswer {
  const details = violationsOf(error).map(({ field, description }) => ({ field, description }));
  return { code: error.code, message: error.message, details };
}

export function sendJson(response: ServerResponse, value: unknown, status = 200): void {
  if (response.headersSent) return void response.destroy();
  response.writeHead(status, { "content-type": "application/json; charset=utf-8" }).end(JSON.stringify(value));
}

export function sendError(response: ServerResponse, error: AshlarError): void {
  sendJson(response, renderError(error), httpStatusOf[error.code]);
}

export function sendText(response: ServerResponse, status: number, type: string, text: string): void {
  if (response.headersSent) return void response.destroy();
  response.writeHead(status, { "content-type": `${type}; charset=utf-8` }).end(text);
}

export function redirect(response: ServerResponse, location: string): void {
  response.writeHead(303, { location }).end();
}
