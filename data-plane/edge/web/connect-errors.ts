/** Converts gRPC statuses to errors of the Connect protocol (connectrpc.com/docs/protocol, "Error Codes"). */
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import type { Header } from "./header.js";

/** The name and HTTP status of each gRPC code. */
const codes: readonly (readonly [name: string, httpStatus: number])[] = [
  ["ok", 200],
  ["canceled", 499],
  ["unknown", 500],
  ["invalid_argument", 400],
  ["deadline_exceeded", 504],
  ["not_found", 404],
  ["already_exists", 409],
  ["permission_denied", 403],
  ["resource_exhausted", 429],
  ["failed_precondition", 400],
  ["aborted", 409],
  ["out_of_range", 400],
  ["unimplemented", 501],
  ["internal", 500],
  ["unavailable", 503],
  ["data_loss", 500],
  ["unauthenticated", 401],
];
const unknownCode = 2;

export interface ConnectError {
  readonly code: string;
  readonly message?: string;
  readonly details?: readonly { readonly type: string; readonly value: string }[];
}

export interface ConnectStatus {
  readonly httpStatus: number;
  /** undefined: the call succeeded. */
  readonly error: ConnectError | undefined;
}

/** Returns the status that the trailers of a call say. */
export function connectStatus(trailers: readonly Header[]): ConnectStatus {
  const find = (name: string): string | undefined => trailers.find(([one]) => one === name)?.[1];
  const said = find("grpc-status") ?? "";
  const code = /^\d{1,2}$/.test(said) && Number(said) < codes.length ? Number(said) : unknownCode;
  return code === 0
    ? { httpStatus: 200, error: undefined }
    : connectError(code, percentDecode(find("grpc-message") ?? ""), readDetails(find("grpc-status-details-bin")));
}

/** Returns the status of a call that ends with this code of gRPC. */
export function connectError(code: number, message: string, details: ConnectError["details"] = []): ConnectStatus {
  const [name, httpStatus] = codes[code] ?? ["unknown", 500];
  return {
    httpStatus,
    error: { code: name, ...(message === "" ? {} : { message }), ...(details.length === 0 ? {} : { details }) },
  };
}

/** Decodes percent-encoding; malformed parts stay as they are (gRPC over HTTP/2, "Status-Message"). */
function percentDecode(text: string): string {
  const bytes = text.replace(/%([0-9a-fA-F]{2})/g, (_all, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  return Buffer.from(bytes, "latin1").toString("utf8");
}

/** Reads a google.rpc.Status in base64. Details that cannot be read are left out. */
function readDetails(base64: string | undefined): NonNullable<ConnectError["details"]> {
  if (base64 === undefined) return [];
  try {
    const found: { type: string; value: string }[] = [];
    readFields(Buffer.from(base64, "base64"), (number, bytes) => {
      if (number === 3) found.push(readAny(bytes));
    });
    return found;
  } catch {
    return [];
  }
}

function readAny(any: Uint8Array): { type: string; value: string } {
  const detail = { type: "", value: "" };
  readFields(any, (number, bytes) => {
    const text = Buffer.from(bytes);
    if (number === 1) detail.type = text.toString("utf8").replace(/^.*\//, "");
    else if (number === 2) detail.value = text.toString("base64").replace(/=+$/, "");
  });
  return detail;
}

/** Calls `take` with each length-delimited field of a message. Throws on malformed protobuf. */
function readFields(message: Uint8Array, take: (number: number, bytes: Uint8Array) => void): void {
  const reader = new BinaryReader(message);
  while (reader.pos < reader.len) {
    const [number, type] = reader.tag();
    if (type === WireType.LengthDelimited) take(number, reader.bytes());
    else reader.skip(type);
  }
}
