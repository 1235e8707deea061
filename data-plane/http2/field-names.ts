/**
 * Field names as small integers. A name of the HPACK static table (RFC 7541, appendix A) has the index of its first
 * entry there as its id, so ids up to 61 are also static indexes. The names that gRPC uses often follow, then the names
 * that the owners of connections list. Id 0 stands for any name that is not listed.
 */
const staticNames: ReadonlyArray<readonly [id: number, name: string]> = [
  [1, ":authority"],
  [2, ":method"],
  [4, ":path"],
  [6, ":scheme"],
  [8, ":status"],
  ...[
    ..."accept-charset accept-encoding accept-language accept-ranges accept access-control-allow-origin age".split(" "),
    ..."allow authorization cache-control content-disposition content-encoding content-language".split(" "),
    ..."content-length content-location content-range content-type cookie date etag expect expires".split(" "),
    ..."from host if-match if-modified-since if-none-match if-range if-unmodified-since last-modified".split(" "),
    ..."link location max-forwards proxy-authenticate proxy-authorization range referer refresh".split(" "),
    ..."retry-after server set-cookie strict-transport-security transfer-encoding user-agent vary via".split(" "),
    "www-authenticate",
  ].map((name, place): readonly [number, string] => [15 + place, name]),
];

const moreNames = [
  ..."te grpc-timeout grpc-status grpc-message grpc-encoding grpc-accept-encoding".split(" "),
  ..."grpc-previous-rpc-attempts grpc-retry-pushback-ms grpc-status-details-bin grpc-tags-bin grpc-trace-bin".split(
    " ",
  ),
  ..."traceparent tracestate connection keep-alive proxy-connection upgrade http2-settings".split(" "),
  ..."x-request-id :protocol".split(" "),
] as const;

/** Ids of the names that code asks for by name. */
export const fieldName = {
  authority: 1,
  method: 2,
  path: 4,
  scheme: 6,
  status: 8,
  acceptEncoding: 16,
  authorization: 23,
  contentLength: 28,
  contentType: 31,
  cookie: 32,
  date: 33,
  host: 38,
  proxyAuthorization: 49,
  setCookie: 55,
  transferEncoding: 57,
  userAgent: 58,
  te: 62,
  grpcTimeout: 63,
  grpcStatus: 64,
  grpcMessage: 65,
  grpcEncoding: 66,
  grpcAcceptEncoding: 67,
  grpcPreviousAttempts: 68,
  grpcRetryPushback: 69,
  grpcStatusDetails: 70,
  grpcTags: 71,
  grpcTrace: 72,
  traceparent: 73,
  tracestate: 74,
  connection: 75,
  keepAlive: 76,
  proxyConnection: 77,
  upgrade: 78,
  http2Settings: 79,
  requestId: 80,
  protocol: 81,
} as const;

/** The highest id of a name in the static table. */
export const staticNameMax = 61;
/** Higher ids are marks where fields are written as bytes (field-bytes.ts). */
const nameIdMax = 250;

const texts: string[] = new Array<string>(staticNameMax + 1).fill("");
const encoded: Uint8Array[] = texts.map(() => new Uint8Array(0));

/** Returns the name with this id, or an empty string if no name has it. */
export function nameText(id: number): string {
  return texts[id] ?? "";
}

/** Returns the bytes of the name with this id. The caller must not change them. */
export function nameBytes(id: number): Uint8Array {
  return encoded[id] as Uint8Array;
}

const nameBytesMax = 32;
const buckets = 512;
const table = new Uint8Array(buckets * 4);

function bucketOf(bytes: Uint8Array, start: number, end: number): number {
  const length = end - start;
  const first = bytes[start] as number;
  const middle = bytes[start + (length >> 1)] as number;
  const last = bytes[end - 1] as number;
  return (length * 31 + first * 7 + middle * 57 + last * 131) & (buckets - 1);
}

function setName(id: number, name: string): void {
  const bytes = new Uint8Array(Buffer.from(name, "latin1"));
  texts[id] = name;
  encoded[id] = bytes;
  let place = bucketOf(bytes, 0, bytes.length) * 4;
  while (table[place] !== 0) place = (place + 1) % table.length;
  table[place] = id;
}

for (const [id, name] of staticNames) setName(id, name);
for (const [place, name] of moreNames.entries()) setName(staticNameMax + 1 + place, name);

/** Returns the id of the name in `bytes[start, end)`, or 0. Bytes are compared exactly: names are lower case. */
export function findName(bytes: Uint8Array, start: number, end: number): number {
  const length = end - start;
  if (length === 0 || length > nameBytesMax) return 0;
  let place = bucketOf(bytes, start, end) * 4;
  for (;;) {
    const id = table[place] as number;
    if (id === 0) return 0;
    const name = encoded[id] as Uint8Array;
    if (name.length === length) {
      let same = 0;
      while (same < length && name[same] === bytes[start + same]) same++;
      if (same === length) return id;
    }
    place = (place + 1) % table.length;
  }
}

const volatileNames = new Uint8Array(256);
for (const id of [
  fieldName.grpcTimeout,
  fieldName.traceparent,
  fieldName.tracestate,
  fieldName.requestId,
  fieldName.contentLength,
  fieldName.date,
  fieldName.grpcMessage,
  fieldName.grpcStatusDetails,
  fieldName.grpcTags,
  fieldName.grpcTrace,
  fieldName.authorization,
  fieldName.proxyAuthorization,
  fieldName.cookie,
  fieldName.setCookie,
]) {
  volatileNames[id] = 1;
}

/**
 * Whether values under this name change with every call, or are secrets that must not enter a table shared with other
 * callers (RFC 7541, 7.1). They are sent as literals without indexing.
 */
export function isVolatile(id: number): boolean {
  return volatileNames[id] === 1;
}

/**
 * Lists a name of up to 32 bytes and returns its id, which is valid for all connections of the process. A name that is
 * already listed keeps its id. Owners of connections call it while the program loads: blocks decoded earlier do not
 * know the name. `volatile`: see `isVolatile`.
 */
export function listName(name: string, volatile: boolean): number {
  const listed = texts.indexOf(name);
  if (listed > 0) return listed;
  const id = texts.length;
  if (id > nameIdMax || name.length > nameBytesMax) throw new Error(`no room for one more field name: ${name}`);
  setName(id, name);
  if (volatile) volatileNames[id] = 1;
  return id;
}
