/** Calls the admin API of the control plane that served this page. */
import { CallError } from "./call-error.js";
import { type AnswerOf, type Session, session, type Unary, unary } from "./methods.js";

async function ask(path: string, init: RequestInit): Promise<unknown> {
  let response: Response;
  try {
    response = await fetch(path, { credentials: "same-origin", cache: "no-store", redirect: "error", ...init });
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new CallError("disconnected", "The control plane does not answer. The console goes on asking.");
  }
  if (response.status === 401)
    throw new CallError("signed_out", "This session has ended. Run `ashlar console` for a new link.");
  const body: unknown = await response.json().catch(() => undefined);
  if (response.ok) return body;
  throw readError(response.status, body);
}

function readError(httpStatus: number, body: unknown): CallError {
  const outer = typeof body === "object" && body !== null ? (body as Record<string, unknown>) : {};
  const inner = typeof outer.error === "object" && outer.error !== null ? outer.error : outer;
  const { code, message } = inner as Record<string, unknown>;
  return new CallError(
    typeof code === "string" ? code : "failed",
    typeof message === "string" && message !== "" ? message : `The control plane answered with HTTP ${httpStatus}.`,
  );
}

/** Calls a method with one answer. Fails with CallError. */
export async function call<M extends Unary>(
  method: M,
  request: Readonly<Record<string, unknown>> = {},
  signal?: AbortSignal,
): Promise<AnswerOf<M>> {
  const answer = await ask(`/api/${method}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(request),
    ...(signal && { signal }),
  });
  return unary[method](answer) as AnswerOf<M>;
}

/** Returns who is signed in. */
export async function readSession(): Promise<Session> {
  return session(await ask("/api/session", { method: "GET" }));
}

/** Ends the session at the control plane. */
export async function signOut(): Promise<void> {
  await ask("/api/logout", { method: "POST", headers: { "content-type": "application/json" }, body: "{}" });
}
