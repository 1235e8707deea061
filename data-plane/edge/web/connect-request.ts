/** Parses the head of requests of the Connect protocol. */
import { status } from "@grpc/grpc-js";
import { type ConnectStatus, connectError } from "./connect-errors.js";
import type { JsonCodec } from "./descriptors.js";
import type { Exchange } from "./exchange.js";
import type { Header } from "./header.js";
import { mediaTypeOf, metadataOf } from "./request-fields.js";

export interface ConnectRequest {
  readonly isStream: boolean;
  /** The JSON codec; undefined: messages are passed on unchanged. */
  readonly codec: JsonCodec | undefined;
  readonly isJson: boolean;
  /** Whether the client compresses messages. */
  readonly isGzip: boolean;
  /** Whether the client accepts compressed messages. */
  readonly takesGzip: boolean;
  /** The message of a GET request. */
  readonly message: Buffer | undefined;
  /** The fields of the gRPC request. */
  readonly fields: readonly Header[];
}

/** Why a request is refused. */
export interface ConnectProblem {
  readonly isStream: boolean;
  readonly isJson: boolean;
  readonly problem: ConnectStatus;
}

const types = /^application\/(connect\+)?(proto|json)$/;
const timeout = /^\d{1,10}$/;
const own = /^(connect-|grpc-)/;
const { INVALID_ARGUMENT, UNIMPLEMENTED } = status;

/** Where a request states its parts: in content type and headers, or in the query of a GET. */
interface Form {
  readonly isStream: boolean;
  readonly isJson: boolean;
  readonly version: string | undefined;
  readonly encoding: string;
  readonly accepted: string;
  readonly message: Buffer | undefined;
}

/**
 * Parses the head of a request. `codec`: translates JSON; undefined if nothing does. Returns undefined if the request
 * is not of the Connect protocol, or is in JSON and nothing translates it.
 */
export function readConnect(
  exchange: Exchange,
  codec: JsonCodec | undefined,
): ConnectRequest | ConnectProblem | undefined {
  const { method } = exchange.request;
  const form = method === "POST" ? formOfPost(exchange) : method === "GET" ? formOfGet(exchange) : undefined;
  if (form === undefined || (form.isJson && codec === undefined)) return undefined;
  const { isStream, isJson, version, encoding, accepted, message } = form;
  const problem = (code: number, why: string): ConnectProblem => ({
    isStream,
    isJson,
    problem: connectError(code, why),
  });
  if (version !== undefined && version !== "1") return problem(INVALID_ARGUMENT, "the version of Connect must be 1");
  if (encoding !== "identity" && encoding !== "gzip")
    return problem(
      UNIMPLEMENTED,
      `unknown compression ${JSON.stringify(encoding.slice(0, 64))}: supported are gzip, identity`,
    );
  const limit = exchange.header("connect-timeout-ms");
  if (limit !== undefined && !timeout.test(limit)) return problem(INVALID_ARGUMENT, "connect-timeout-ms is malformed");
  if (method === "GET" && message === undefined) return problem(INVALID_ARGUMENT, "the query has no message");
  const isGzip = encoding === "gzip";
  const takesGzip = !isJson && accepted.split(",").some((one) => one.split(";", 1)[0]?.trim() === "gzip");
  const fields: Header[] = [
    ["content-type", "application/grpc+proto"],
    ["te", "trailers"],
    ...(isGzip && !isJson ? [["grpc-encoding", "gzip"] as const] : []),
    ["grpc-accept-encoding", takesGzip ? "identity,gzip" : "identity"],
    ...(limit === undefined ? [] : [["grpc-timeout", grpcTimeout(Number(limit))] as const]),
    ...metadataOf(exchange.request, (name) => own.test(name)),
  ];
  return { isStream, isJson, codec: isJson ? codec : undefined, isGzip, takesGzip, message, fields };
}

function formOfPost(exchange: Exchange): Form | undefined {
  const [all, prefix, kind] = types.exec(mediaTypeOf(exchange.header("content-type"))) ?? [];
  if (all === undefined) return undefined;
  const isStream = prefix !== undefined;
  const before = isStream ? "connect-" : "";
  return {
    ...{ isStream, isJson: kind === "json", message: undefined },
    version: exchange.header("connect-protocol-version"),
    encoding: exchange.header(`${before}content-encoding`) ?? "identity",
    accepted: exchange.header(`${before}accept-encoding`) ?? "",
  };
}

function formOfGet(exchange: Exchange): Form | undefined {
  const query = new URLSearchParams(exchange.request.query);
  const kind = query.get("encoding");
  if (kind !== "proto" && kind !== "json") return undefined;
  const [text, isBase64, version] = [query.get("message"), query.get("base64") === "1", query.get("connect")];
  return {
    ...{ isStream: false, isJson: kind === "json" },
    version: version === null ? undefined : version.replace(/^v/, ""),
    encoding: query.get("compression") ?? "identity",
    accepted: exchange.header("accept-encoding") ?? "",
    message: text === null ? undefined : Buffer.from(text, isBase64 ? "base64url" : "utf8"),
  };
}

/** Renders a timeout for gRPC, whose header takes eight digits. */
function grpcTimeout(ms: number): string {
  return ms < 100_000_000 ? `${ms}m` : `${Math.ceil(ms / 1000)}S`;
}

const hidden = /^(grpc-(status|message|status-details-bin|encoding|accept-encoding)$|access-control-|connect-)/;
const ofHttp = new Set("content-type content-length content-encoding transfer-encoding trailer".split(" "));

/** Returns the fields of a response or of trailers that are the application's and the mesh's own. */
export function passedFields(headers: readonly Header[]): readonly Header[] {
  return headers.filter(([name]) => !hidden.test(name) && !ofHttp.has(name));
}
