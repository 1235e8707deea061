/** Checks the form of single fields. */
import type { FieldBlock } from "./field-block.js";
import { cell, cells } from "./field-cells.js";
import { fieldName, nameText } from "./field-names.js";

/** Whether the name of a field begins with `prefix`, which must be ASCII. */
export function nameStartsWith(fields: FieldBlock, field: number, prefix: string): boolean {
  const id = fields.nameId(field);
  if (id > 0) return nameText(id).startsWith(prefix);
  if ((fields.rows[field * cells + cell.nameLength] as number) < prefix.length) return false;
  const start = fields.nameStart(field);
  for (let i = 0; i < prefix.length; i++) if (fields.bytes[start + i] !== prefix.charCodeAt(i)) return false;
  return true;
}

export function isPseudo(fields: FieldBlock, field: number): boolean {
  const id = fields.nameId(field);
  if (id > 0) return id <= fieldName.status || id === fieldName.protocol;
  return nameStartsWith(fields, field, ":");
}

/** Returns the number that the value spells in 1 to `digitsMax` decimal digits, or -1 if it has another form. */
export function decimalOf(fields: FieldBlock, field: number, digitsMax: number): number {
  const length = fields.valueLength(field);
  if (length === 0 || length > digitsMax) return -1;
  const { bytes } = fields;
  let value = 0;
  for (let i = fields.valueStart(field), end = i + length; i < end; i++) {
    const digit = (bytes[i] as number) - 48;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}

/** Returns the value as an HTTP status of 100 to 599, or 0 if it is not one. */
export function statusOf(fields: FieldBlock, field: number): number {
  const value = fields.valueLength(field) === 3 ? decimalOf(fields, field, 3) : -1;
  return value >= 100 && value <= 599 ? value : 0;
}

/** Returns the value as a length of at most fifteen digits, which a number holds exactly, or -1. */
export function contentLengthOf(fields: FieldBlock, field: number): number {
  return decimalOf(fields, field, 15);
}

/** Whether the value is 1 to 8 digits and a unit. */
export function isGrpcTimeout(fields: FieldBlock, field: number): boolean {
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

/**
 * Whether the value is `application/grpc` in any letter case (RFC 9110, 8.3.1), alone or followed by `+`, `;` or a
 * space.
 */
export function isGrpcType(fields: FieldBlock, field: number): boolean {
  const start = fields.valueStart(field);
  const length = fields.valueLength(field);
  if (length < grpcType.length) return false;
  for (let i = 0; i < grpcType.length; i++)
    if (((fields.bytes[start + i] as number) | 0x20) !== grpcType.charCodeAt(i)) return false;
  if (length === grpcType.length) return true;
  const next = fields.bytes[start + grpcType.length];
  return next === 0x2b || next === 0x3b || next === 0x20;
}

const letter = 1;
const digit = 2;
const other = 4;
const kinds = new Uint8Array(256);
for (let i = 0; i < 26; i++) kinds[65 + i] = kinds[97 + i] = letter;
kinds[0x5f] = letter; // underscore
for (let i = 0; i < 10; i++) kinds[48 + i] = digit;
for (const character of "!#$%&'*+-.^`|~") kinds[character.charCodeAt(0)] = other;

/**
 * Whether the value is `/`, identifiers joined by dots, `/` and an identifier. Nothing is decoded or repaired, so that
 * the routed path is the authorized path.
 */
export function isGrpcPath(fields: FieldBlock, field: number): boolean {
  const { bytes } = fields;
  const start = fields.valueStart(field);
  const end = start + fields.valueLength(field);
  if (bytes[start] !== 0x2f) return false;
  let slashes = 0;
  let atStart = true; // at the start of an identifier, where a letter must be
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

export function isPlainPath(fields: FieldBlock, field: number): boolean {
  const first = fields.bytes[fields.valueStart(field)];
  return fields.valueLength(field) > 0 && (first === 0x2f || fields.valueIs(field, "*"));
}

export function isToken(fields: FieldBlock, field: number): boolean {
  const start = fields.valueStart(field);
  const length = fields.valueLength(field);
  for (let i = 0; i < length; i++) if (kinds[fields.bytes[start + i] as number] === 0) return false;
  return length > 0;
}

/**
 * Whether the value is a host with at most one port. Changes upper-case letters to lower case, so that all later
 * readers see the same name.
 */
export function isAuthority(fields: FieldBlock, field: number): boolean {
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
