import type { FieldBlock } from "./field-block.js";
import { fieldFlag } from "./field-classes.js";
import {
  contentLengthOf,
  isAuthority,
  isGrpcPath,
  isGrpcTimeout,
  isGrpcType,
  isPlainPath,
  isPseudo,
  isToken,
  statusOf,
} from "./field-forms.js";
import { fieldName } from "./field-names.js";
import type { FieldProfile } from "./field-profile.js";
import type { RequestRules } from "./limits.js";
import { refusal } from "./refusals.js";

/**
 * Checks header blocks (RFC 9113, 8.1 to 8.3, and stricter). A check returns the reason for refusing the block, or 0.
 * Nothing is repaired: a malformed message is refused whole. The decoder has removed spaces around values, as gRPC
 * allows. gRPC wants fields with bytes of 0x80 and above tolerated: they are dropped, and their names are in
 * `obsTextNames` for rules that ask for them.
 */
export class FieldCheck {
  /** The value of content-length, or -1 if there is none. */
  contentLength = -1;
  /** Whether the content type is one of gRPC's. */
  grpc = false;
  /** How many fields of the last block were dropped because of their bytes. */
  obsText = 0;
  obsTextNames: string[] | null = null;
  /** The status of a response. */
  status = 0;

  /** Checks a request. `rules` must be the same for all blocks of a connection. */
  request(fields: FieldBlock, rules: RequestRules): number {
    this.clear();
    const { profile } = fields;
    if (profile?.isRequest !== true) {
      const bad = this.#request(fields, rules);
      if (bad === 0 && isUntouched(fields)) {
        fields.profile.isRequest = true;
        fields.profile.grpc = this.grpc;
      }
      return bad;
    }
    this.grpc = profile.grpc;
    const { varying } = profile;
    for (let i = 0; i < varying.length; i++) {
      const field = varying[i] as number;
      const bad = this.#field(fields, field, rules.refuseUnderscore);
      if (bad > 0) return bad;
      if (fields.nameId(field) === fieldName.grpcTimeout && !isGrpcTimeout(fields, field)) return refusal.grpc_timeout;
    }
    return 0;
  }

  /** Checks the varying fields of a block whose profile has passed before. */
  #varying(fields: FieldBlock, { varying }: FieldProfile): number {
    for (let i = 0; i < varying.length; i++) {
      const bad = this.#field(fields, varying[i] as number, false);
      if (bad > 0) return bad;
    }
    return 0;
  }

  #request(fields: FieldBlock, rules: RequestRules): number {
    let seen = 0;
    let regular = false;
    let host = -1;
    let authority = -1;
    let contentType = -1;
    let method = -1;
    let path = -1;
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
        // Response pseudo-fields, :protocol (extended CONNECT was never offered) and unknown ones are refused here too.
        if (id === fieldName.protocol) return refusal.connect_method;
        if (bit === 0 || regular || (seen & bit) !== 0) return refusal.pseudo_field;
        seen |= bit;
        const flags = fields.flags(field);
        if ((flags & fieldFlag.obsText) !== 0) return refusal.pseudo_field;
        if (bit === 1) authority = field;
        else if (bit === 2) {
          if (fields.valueIs(field, "CONNECT")) return refusal.connect_method;
          if (!isToken(fields, field)) return refusal.method;
          method = field;
        } else if (bit === 4) {
          if (!isPlainPath(fields, field)) return refusal.path;
          path = field;
        } else if (!isScheme(fields, field, rules.scheme)) return refusal.scheme;
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
    if (!this.grpc && !rules.grpcOnly) return 0;
    if (!fields.valueIs(method, "POST")) return refusal.method;
    if (!isGrpcPath(fields, path)) return refusal.path;
    return this.grpc ? 0 : refusal.content_type;
  }

  response(fields: FieldBlock): number {
    this.clear();
    const { profile } = fields;
    if (profile?.isResponse !== true) {
      const bad = this.#response(fields);
      if (bad === 0 && isUntouched(fields)) {
        fields.profile.isResponse = true;
        fields.profile.grpc = this.grpc;
        fields.profile.status = this.status;
      }
      return bad;
    }
    this.grpc = profile.grpc;
    this.status = profile.status;
    return this.#varying(fields, profile);
  }

  #response(fields: FieldBlock): number {
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
    this.clear();
    const { profile } = fields;
    if (profile?.isTrailers === true) return this.#varying(fields, profile);
    const bad = this.#trailers(fields);
    if (bad === 0 && isUntouched(fields)) fields.profile.isTrailers = true;
    return bad;
  }

  #trailers(fields: FieldBlock): number {
    for (let field = 0; field < fields.count; field++) {
      if (isPseudo(fields, field)) return refusal.pseudo_field;
      const bad = this.#field(fields, field, false);
      if (bad > 0) return bad;
    }
    return 0;
  }

  /** Resets the results. */
  clear(): void {
    this.contentLength = -1;
    this.grpc = false;
    this.obsText = 0;
    this.obsTextNames = null;
    this.status = 0;
  }

  /** Checks what every field of every block must obey. */
  #field(fields: FieldBlock, field: number, refuseUnderscore: boolean): number {
    const flags = fields.flags(field);
    if ((flags & fieldFlag.badName) !== 0) return refusal.field_name;
    if (refuseUnderscore && (flags & fieldFlag.underscore) !== 0) return refusal.field_name;
    if ((flags & (fieldFlag.badValue | fieldFlag.stripped)) !== 0 && !isStrippable(fields, field))
      return refusal.field_value;
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
        return fields.valueIs(field, "trailers") || isTrailers(fields, field) ? 0 : refusal.te;
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

  /** Checks :authority and host, changes them to lower case, and drops host. They must be equal. */
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

/**
 * Spaces around a value are not part of it (gRPC over HTTP/2, "Custom-Metadata"), but a pseudo-header field may not
 * have any.
 */
function isStrippable(fields: FieldBlock, field: number): boolean {
  return (fields.flags(field) & fieldFlag.badValue) === 0 && !isPseudo(fields, field);
}

/** Names of codings are case-insensitive (RFC 9110, 10.1.4). */
function isTrailers(fields: FieldBlock, field: number): boolean {
  return fields.valueLength(field) === 8 && fields.valueText(field).toLowerCase() === "trailers";
}

/** Whether the result for this block holds for all blocks with its profile. */
function isUntouched(fields: FieldBlock): fields is FieldBlock & { profile: FieldProfile } {
  return fields.profile?.isPlain === true && fields.dropped === 0;
}

/** Whether it is the wanted scheme, or one of HTTP's two where none is wanted. */
function isScheme(fields: FieldBlock, field: number, wanted: string | undefined): boolean {
  if (wanted !== undefined) return fields.valueIs(field, wanted);
  return fields.valueIs(field, "https") || fields.valueIs(field, "http");
}
