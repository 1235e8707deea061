/** The admin API as promises, over mutual TLS with the operator's certificate. */
import { isIP } from "node:net";
import { credentials } from "@grpc/grpc-js";
import { AshlarError, isAshlarError, messageOf } from "../core/errors.js";
import { nameIn } from "../core/identity.js";
import { AdminServiceService } from "../proto/gen/ashlar/v1/admin.js";
import { parseHostPort } from "../runtime/config.js";
import { callServerStream, callUnary, connectGrpc, type MethodDescription } from "../runtime/grpc-client.js";
import { parseSvid } from "../runtime/tls-identity.js";
import type { AdminContext } from "./context.js";

export type {
  AccessChange,
  ActivationInfo,
  ApprovalInfo,
  CheckAccessResponse,
  DiffRevisionsResponse,
  DiffSide,
  EgressInfo,
  ExportAuditResponse,
  ExportJournalResponse,
  Finding,
  GetConvergenceResponse,
  GetStatusResponse,
  IssuerInfo,
  JournalEntryInfo,
  LimitMet,
  ListAccessResponse,
  ObjectChange,
  PolicyFile,
  ProxyConvergence,
  ProxyInfo,
  RevisionInfo,
  RolloutBeside,
  RolloutInfo,
  RolloutPlan,
  ServiceInfo,
  ShadowInfo,
} from "../proto/gen/ashlar/v1/admin.js";
export type { AuditEntry } from "../proto/gen/ashlar/v1/audit.js";
export type { CreateConsoleLinkResponse } from "../proto/gen/ashlar/v1/console.js";
export type {
  TapCallsResponse,
  TapFilter,
  TappedCall,
  TrafficPair,
  WatchTrafficResponse,
} from "../proto/gen/ashlar/v1/look.js";
export type { JournalHolderInfo, ListSigningKeysResponse, SigningKeyInfo } from "../proto/gen/ashlar/v1/trust.js";

type Definition = typeof AdminServiceService;
type MethodNames<Streams extends boolean> = {
  [Name in keyof Definition]: Definition[Name]["responseStream"] extends Streams ? Name : never;
}[keyof Definition];
type RequestOf<Name extends keyof Definition> = ReturnType<Definition[Name]["requestDeserialize"]>;
type ResponseOf<Name extends keyof Definition> = ReturnType<Definition[Name]["responseDeserialize"]>;

/**
 * What a command can ask the control plane: the methods of ashlar.v1.AdminService, by their names. Each fails with the
 * AshlarError that the control plane sent, or with `unavailable` and the address if it cannot be reached.
 */
export type AdminClient = {
  readonly [Name in MethodNames<false>]: (request: RequestOf<Name>) => Promise<ResponseOf<Name>>;
} & {
  /** Calls a streaming method. Leaving the loop cancels the call. */
  readonly [Name in MethodNames<true>]: (request: RequestOf<Name>) => AsyncGenerator<ResponseOf<Name>, void, undefined>;
} & { close(): void };

const answerMs = 20_000;
const workMs = 60_000;
const waitMsDefault = 30_000;

/** Methods that may take longer than others before they answer. */
const working: ReadonlySet<string> = new Set<MethodNames<false>>([
  "diffRevisions",
  "dropSigningKey",
  "exportAudit",
  "exportRevision",
  "getJournalEntry",
  "importJournal",
  "importRevision",
  "listAccess",
  "listAudit",
  "listJournal",
  "publishRevision",
  "retainJournal",
  "validateRevision",
]);

/** Returns how long an answer may take, in milliseconds: as long as the request itself waits, and some more. */
function timeoutMsOf(name: string, request: object): number {
  if (working.has(name)) return workMs;
  if ("prepareTimeoutMs" in request) return answerMs + Number(request.prepareTimeoutMs);
  if ("waitTimeoutMs" in request) return answerMs + (Number(request.waitTimeoutMs) || waitMsDefault);
  return answerMs;
}

/**
 * Opens a client, which connects on the first call. Fails with `invalid_argument` if the PEM in the context is
 * malformed. SNI may not contain an IP address (RFC 6066 3), so a name replaces it; neither makes an identity.
 */
export function openAdminClient(context: AdminContext): AdminClient {
  const client = connectGrpc({
    address: context.admin,
    credentials: channelCredentials(context),
    options:
      isIP(parseHostPort(context.admin)?.host ?? "") === 0 ? {} : { "grpc.ssl_target_name_override": "localhost" },
  });
  type Method = MethodDescription<object, unknown>;
  const ask = (name: string, method: Method) => async (request: object) => {
    const timeoutMs = timeoutMsOf(name, request);
    try {
      return await callUnary(client, method, request, { timeoutMs });
    } catch (error) {
      throw withAddress(error, context.admin, timeoutMs);
    }
  };
  const listen = (method: Method) =>
    async function* (request: object) {
      try {
        yield* callServerStream(client, method, request, { answerMs: workMs });
      } catch (error) {
        throw withAddress(error, context.admin, workMs);
      }
    };
  const methods = Object.entries(AdminServiceService).map(([name, method]) => [
    name,
    method.responseStream ? listen(method as Method) : ask(name, method as Method),
  ]);
  return { ...(Object.fromEntries(methods) as Omit<AdminClient, "close">), close: () => client.close() } as AdminClient;
}

/** Returns a field that an answer must have. Fails with `internal` if it is missing. */
export function present<Value>(value: Value | undefined): Value {
  if (value === undefined) throw new AshlarError("internal", "the control plane left out what was asked for");
  return value;
}

function channelCredentials({ path, ca, certificate, key }: AdminContext) {
  try {
    return credentials.createSsl(Buffer.from(ca), Buffer.from(key), Buffer.from(certificate), {
      checkServerIdentity: (_host, { raw }) => checkControlPlane(raw),
    });
  } catch (cause) {
    const message = `the context ${path} holds a certificate or key that cannot be used: ${messageOf(cause)}`;
    throw new AshlarError("invalid_argument", message, { cause });
  }
}

/**
 * Checks the server's certificate against the context's CA, and its identity by the SPIFFE ID instead of a host name.
 */
function checkControlPlane(der: Uint8Array): Error | undefined {
  try {
    const { spiffeId, trustDomain } = parseSvid(der);
    if (nameIn(spiffeId, trustDomain, "control-plane") !== undefined) return undefined;
    return new AshlarError("invalid_identity", `${spiffeId} is not a control plane`);
  } catch (error) {
    return error instanceof Error ? error : new Error(messageOf(error));
  }
}

function withAddress(error: unknown, address: string, timeoutMs: number): unknown {
  if (!isAshlarError(error) || answered(error)) return error;
  if (error.code === "deadline") {
    const message = `the control plane at ${address} did not answer within ${timeoutMs / 1000} s`;
    return new AshlarError("unavailable", message, { cause: error });
  }
  if (error.code !== "unavailable") return error;
  const message = `could not reach the control plane at ${address}: ${error.message}; is \`ashlar up\` running?`;
  return new AshlarError("unavailable", message, { cause: error });
}

/** Returns whether a control plane answered: only then an error has more than a status. */
function answered({ cause }: AshlarError): boolean {
  const metadata = cause instanceof Error && "metadata" in cause ? cause.metadata : undefined;
  if (typeof metadata !== "object" || metadata === null || !("get" in metadata)) return false;
  const { get } = metadata;
  if (typeof get !== "function") return false;
  const details: unknown = get.call(metadata, "grpc-status-details-bin");
  return Array.isArray(details) && details.length > 0;
}
