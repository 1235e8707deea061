import type { FieldBlock } from "./field-block.js";
import { fieldFlag } from "./field-classes.js";
import { fieldName } from "./field-names.js";
import type { RequestRules } from "./limits.js";
import { refusal } from "./refusals.js";

/**
 * What a header block is refused for (RFC 9113, 8.1 to 8.3, and stricter); 0: nothing. Nothing is repaired:
 * a malformed message is refused whole. Fields with bytes of 0x80 and above, which gRPC wants tolerated, are
 * dropped, and the name is in `obsTextNames` for rules that ask for it.
 */
export class FieldCheck {
  /** From content-length; -1: none. */
  contentLength = -1;
  /** The content type is one of gRPC's. */
  grpc = false;
  /** Fields of the last block that were dropped for their bytes. */
  obsText = 0;
  obsTextNames: string[] | null = null;
  /** Of a response. */
  status = 0;

  request(fields: FieldBlock, rules: RequestRules): number {
    this.#clear();
    let seen = 0;
    let regular = false;
    let host = -1;
    let authority = -1;
    let contentType = -1;
    for (let field = 0; field < fields.count; field++) {
      const id = fields.nameId(field);
      const bad = this.#field(fields, field, rules.refuseUnderscore);
      if (bad > 0) return bad;
      if (isPseudo(fields, field)) {
        const bit =
          id === fieldName.authority
            ? 1
            : id === fieldName.method
              ? 2
              : id === fieldName.path
                ? 4
                : id === fieldName.scheme
                  ? 8
                  : 0;
        // Response fields, :protocol (extended CONNECT was never offered) and unknown ones end here too.
        if (id === fieldName.protocol) return refusal.connect_method;
        if (bit === 0 || regular || (seen & bit) !== 0) return refusal.pseudo_field;
        seen |= bit;
        const flags = fields.flags(field);
        if ((flags & fieldFlag.obsText) !== 0) return refusal.pseudo_field;
        if (bit === 1) authority = field;
        else if (bit === 2) {
          if (fields.valueIs(field, "CONNECT")) return refusal.connect_method;
          if (rules.grpcOnly ? !fields.valueIs(field, "POST") : !isToken(fields, field)) return refusal.method;
        } else if (bit === 4) {
          if (rules.grpcOnly ? !isGrpcPath(fields, field) : !isPlainPath(fields, field)) return refusal.path;
        } else if (
          rules.scheme === undefined ? fields.valueLength(field) === 0 : !fields.valueIs(field, rules.scheme)
        ) {
          return refusal.scheme;
        }
        continue;
      }
      regular = true;
      if (id === fieldName.host) {
        if (host >= 0) return refusal.authority;
        host = field;
      } else if (id === fieldName.contentType) {
        if (contentType >= 0) return refusal.content_type;
        contentType = field;
      } else if (id === fieldName.grpcTimeout && !isGrpcTimeout(fields, field)) return refusal.grpc_timeout;
    }
    if ((seen & 14) !== 14) return refusal.pseudo_field;
    const bad = this.#authority(fields, authority, host);
    if (bad > 0) return bad;
    this.grpc = contentType >= 0 && isGrpcType(fields, contentType);
    return rules.grpcOnly && !this.grpc ? refusal.content_type : 0;
  }

  response(fields: FieldBlock): number {
    this.#clear();
    let regular = false;
    let contentType = -1;
    for (let field = 0; field < fields.count; field++) {
      const bad = this.#field(fields, field, false);
      if (bad > 0) return bad;
      const id = fields.nameId(field);
      if (isPseudo(fields, field)) {
        if (id !== fieldName.status || regular || this.status !== 0) return refusal.pseudo_field;
        this.status = statusOf(fields, field);
        if (this.status === 0) return refusal.status;
        continue;
      }
      regular = true;
      if (id === fieldName.contentType) contentType = field;
    }
    if (this.status === 0 || this.status === 101) return refusal.status;
    this.grpc = contentType >= 0 && isGrpcType(fields, contentType);
    return 0;
  }

  trailers(fields: FieldBlock): number {
    this.#clear();
    for (let field = 0; field < fields.count; field++) {
      if (isPseudo(fields, field)) return refusal.pseudo_field;
      const bad = this.#field(fields, field, false);
      if (bad > 0) return bad;
    }
    return 0;
  }

  #clear(): void {
    this.contentLength = -1;
    this.grpc = false;
    this.obsText = 0;
    this.obsTextNames = null;
    this.status = 0;
  }

  /** What holds for every field of every block. */
  #field(fields: FieldBlock, field: number, refuseUnderscore: boolean): number {
    const flags = fields.flags(field);
    if ((flags & fieldFlag.badName) !== 0) return refusal.field_name;
    if (refuseUnderscore && (flags & fieldFlag.underscore) !== 0) return refusal.field_name;
    if ((flags & fieldFlag.badValue) !== 0) return refusal.field_value;
    if ((flags & fieldFlag.obsText) !== 0 && !isPseudo(fields, field)) {
      this.obsText++;
      this.obsTextNames ??= [];
      this.obsTextNames.push(fields.nameText(field));
      fields.drop(field);
    }
    switch (fields.nameId(field)) {
      case fieldName.connection:
      case fieldName.keepAlive:
      case fieldName.proxyConnection:
      case fieldName.transferEncoding:
      case fieldName.upgrade:
      case fieldName.http2Settings:
        return refusal.connection_field;
      case fieldName.te:
        return fields.valueIs(field, "trailers") ? 0 : refusal.te;
      case fieldName.contentLength: {
        const length = contentLengthOf(fields, field);
        if (length < 0 || this.contentLength >= 0) return refusal.content_length;
        this.contentLength = length;
        return 0;
      }
      default:
        return 0;
    }
  }

  /** Makes one lower-case name of :authority and host; they must be the same. */
  #authority(fields: FieldBlock, authority: number, host: number): number {
    const first = authority >= 0 ? authority : host;
    if (first < 0) return 0;
    if (!isAuthority(fields, first)) return refusal.authority;
    if (authority < 0 || host < 0) return 0;
    if (!isAuthority(fields, host) || fields.valueText(host) !== fields.valueText(authority)) return refusal.authority;
    fields.drop(host);
    return 0;
  }
}

function isPseudo(fields: FieldBlock, field: number): boolean {
  const id = fields.nameId(field);
  if (id > 0) return id <= fieldName.status || id === fieldName.protocol;
  return fields.nameStartsWith(field, ":");
}

function statusOf(fields: FieldBlock, field: number): number {
  if (fields.valueLength(field) !== 3) return 0;
  const { bytes } = fields;
  let value = 0;
  for (let i = fields.valueStart(field), end = i + 3; i < end; i++) {
    const digit = (bytes[i] as number) - 48;
    if (digit < 0 || digit > 9) return 0;
    value = value * 10 + digit;
  }
  return value >= 100 && value <= 599 ? value : 0;
}

function contentLengthOf(fields: FieldBlock, field: number): number {
  const length = fields.valueLength(field);
  if (length === 0 || length > 15) return -1;
  let value = 0;
  for (let i = fields.valueStart(field), end = i + length; i < end; i++) {
    const digit = (fields.bytes[i] as number) - 48;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}

/** 1 to 8 digits and a unit. */
function isGrpcTimeout(fields: FieldBlock, field: number): boolean {
  const length = fields.valueLength(field);
  if (length < 2 || length > 9) return false;
  const start = fields.valueStart(field);
  for (let i = 0; i < length - 1; i++) {
    const digit = (fields.bytes[start + i] as number) - 48;
    if (digit < 0 || digit > 9) return false;
  }
  return "HMSmun".includes(String.fromCharCode(fields.bytes[start + length - 1] as number));
}

const grpcType = "application/grpc";

/** `application/grpc`, alone or followed by `+` or `;`. */
function isGrpcType(fields: FieldBlock, field: number): boolean {
  const start = fields.valueStart(field);
  const length = fields.valueLength(field);
  if (length < grpcType.length) return false;
  for (let i = 0; i < grpcType.length; i++) if (fields.bytes[start + i] !== grpcType.charCodeAt(i)) return false;
  if (length === grpcType.length) return true;
  const next = fields.bytes[start + grpcType.length];
  return next === 0x2b || next === 0x3b;
}

const letter = 1;
const digit = 2;
const other = 4;
const kinds = new Uint8Array(256);
for (let i = 0; i < 26; i++) kinds[65 + i] = kinds[97 + i] = letter;
kinds[0x5f] = letter; // underscore
for (let i = 0; i < 10; i++) kinds[48 + i] = digit;
for (const character of "!#$%&'*+-.^`|~") kinds[character.charCodeAt(0)] = other;

/** A slash, identifiers joined by dots, a slash, an identifier; byte for byte: what is routed is what is judged. */
function isGrpcPath(fields: FieldBlock, field: number): boolean {
  const { bytes } = fields;
  const start = fields.valueStart(field);
  const end = start + fields.valueLength(field);
  if (bytes[start] !== 0x2f) return false;
  let slashes = 0;
  let atStart = true; // of a segment, where a letter must be
  for (let i = start + 1; i < end; i++) {
    const byte = bytes[i] as number;
    const kind = kinds[byte] as number;
    if (kind === letter) atStart = false;
    else if (atStart) return false;
    else if (kind === digit) continue;
    else if (byte === 0x2f && slashes === 0) {
      slashes++;
      atStart = true;
    } else if (byte === 0x2e && slashes === 0) atStart = true;
    else return false;
  }
  return slashes === 1 && !atStart;
}

function isPlainPath(fields: FieldBlock, field: number): boolean {
  const first = fields.bytes[fields.valueStart(field)];
  return fields.valueLength(field) > 0 && (first === 0x2f || fields.valueIs(field, "*"));
}

function isToken(fields: FieldBlock, field: number): boolean {
  const start = fields.valueStart(field);
  const length = fields.valueLength(field);
  for (let i = 0; i < length; i++) if (kinds[fields.bytes[start + i] as number] === 0) return false;
  return length > 0;
}

/** A host and at most one port; makes upper case lower, once and for everybody. */
function isAuthority(fields: FieldBlock, field: number): boolean {
  const start = fields.valueStart(field);
  const length = fields.valueLength(field);
  if (length === 0 || length > 255) return false;
  let upper = false;
  let colons = 0;
  const bracketed = fields.bytes[start] === 0x5b;
  for (let i = start; i < start + length; i++) {
    const byte = fields.bytes[i] as number;
    if (byte >= 65 && byte <= 90) upper = true;
    else if (byte === 0x3a) colons++;
    else if (byte === 0x2e && fields.bytes[i + 1] === 0x2e && i + 1 < start + length) return false;
    else if (byte === 0x2d || byte === 0x2e || byte === 0x25 || byte === 0x7e) continue;
    else if (byte === 0x5b || byte === 0x5d) {
      if (!bracketed) return false;
    } else if ((kinds[byte] as number) !== letter && (kinds[byte] as number) !== digit) return false;
  }
  if (colons > 1 && !bracketed) return false;
  if (upper) fields.replaceValue(field, fields.valueText(field).toLowerCase());
  return true;
}
