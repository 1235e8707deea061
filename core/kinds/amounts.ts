/** Types of single values that several kinds share: yes or no, parts of a hundred, gRPC's codes. */

import { expectedSize, parseSizeBytes } from "../size.js";
import { describe, type Shape } from "../snapshot/shapes.js";
import { isScalar } from "../snapshot/yaml-nodes.js";
import { PolicyFault } from "./fault.js";
import { type Type, writeTag } from "./type.js";
import { text, uint64Wire } from "./types.js";

/** `true`, written only where it is so: there is no other way to say the default. */
export const onlyTrue: Type<boolean> = {
  shape: {
    expected: "true; leave it out otherwise",
    schema: { const: true },
    read(node, field, reading) {
      const found = reading.follow(node, field);
      if (found === undefined) return undefined;
      if (isScalar(found) && found.value === true) return true;
      return reading.report(
        reading.place(found ?? node, field),
        `expected true, found ${describe(found)}; leave it out otherwise`,
      );
    },
  },
  canonical(value) {
    if (value !== true) throw new PolicyFault("is true or not there");
    return value;
  },
  render: (value) => value,
  wire: {
    wireType: 0,
    absent: () => false,
    write(writer, number, value) {
      if (value) writeTag(writer, number, 0).bool(value);
    },
    read: (reader) => reader.bool(),
  },
};

/** Hundredths of a percent in 100 %. */
export const wholeShare = 10_000;

interface ShareOptions {
  /** In percent. */
  readonly min: number;
  readonly max: number;
  /** How files have it when they are written anew: `5` or `"5%"`; both are read. */
  readonly written: "number" | "text";
}

/** A part of a hundred with at most two decimals, in hundredths of a percent; in the bytes a uint32. */
export function share({ min, max, written }: ShareOptions): Type<number> {
  const isValid = (value: number): boolean =>
    Number.isInteger(value) && value >= Math.round(min * 100) && value <= max * 100;
  const example = written === "number" ? "5 or 0.5" : '"5%" or "0.5%"';
  const expected = `a percentage from ${min} to ${max} with at most two decimals, such as ${example}`;
  return {
    shape: shareShape(expected, isValid),
    canonical(value) {
      if (isValid(value)) return value;
      throw new PolicyFault(`${value / 100} is not ${expected}`);
    },
    render: (value) => (written === "number" ? value / 100 : `${value / 100}%`),
    wire: {
      wireType: 0,
      absent: () => 0,
      write(writer, number, value) {
        if (value !== 0) writeTag(writer, number, 0).uint32(value);
      },
      read: (reader) => reader.uint32(),
    },
  };
}

function shareShape(expected: string, isValid: (value: number) => boolean): Shape<number> {
  return {
    expected,
    schema: { anyOf: [{ type: "number" }, { type: "string", pattern: "^[0-9]{1,3}(\\.[0-9]{1,2})?%$" }] },
    read(node, field, reading) {
      const found = reading.follow(node, field);
      if (found === undefined) return undefined;
      const place = reading.place(found ?? node, field);
      const value = hundredthsOf(isScalar(found) ? found.value : undefined);
      if (value === undefined || !isValid(value))
        return reading.report(place, `expected ${expected}, found ${describe(found)}`);
      reading.places.set(field, place);
      return value;
    },
  };
}

function hundredthsOf(value: unknown): number | undefined {
  const written = typeof value === "number" ? String(value) : value;
  const match = typeof written === "string" ? /^([0-9]{1,3}(?:\.[0-9]{1,2})?)(%?)$/.exec(written) : null;
  if (match === null || (typeof value === "string" && match[2] === "")) return undefined;
  return Math.round(Number(match[1]) * 100);
}

/** gRPC's codes of failure by name (gRPC, "Status codes and their use in gRPC"). */
export const failureCodes = {
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  OUT_OF_RANGE: 11,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
  UNAUTHENTICATED: 16,
} as const;

/** The name of a gRPC code of failure; in the bytes that name, as in gRPC's own service config. */
export const failureCode: Type<string> = text({
  expected: "a gRPC code of failure, such as UNAVAILABLE",
  pattern: `^(${Object.keys(failureCodes).join("|")})$`,
  valid: (name) => Object.hasOwn(failureCodes, name),
  hint: (name) => (name.toUpperCase() === "OK" ? "a call that ends with OK has not failed" : ""),
});

/** The number of a code's name. */
export function codeNumber(name: string): number {
  return failureCodes[name as keyof typeof failureCodes];
}

/** Yes or no, with a default that has no bytes: a bool that says it is otherwise. */
export function yesNo(byDefault: boolean): Type<boolean> {
  return {
    shape: {
      expected: "true or false",
      schema: { type: "boolean" },
      read(node, field, reading) {
        const found = reading.follow(node, field);
        if (found === undefined) return undefined;
        if (isScalar(found) && typeof found.value === "boolean") return found.value;
        return reading.report(reading.place(found ?? node, field), `expected true or false, found ${describe(found)}`);
      },
    },
    canonical: (value) => value,
    render: (value) => value,
    wire: {
      wireType: 0,
      absent: () => byDefault,
      write(writer, number, value) {
        if (value !== byDefault) writeTag(writer, number, 0).bool(true);
      },
      read: (reader) => (reader.bool() ? !byDefault : byDefault),
    },
  };
}

/** The same text as a google.protobuf.StringValue, so that "" is a value and not nothing. */
export function stringValue(of: Type<string>): Type<string> {
  return {
    ...of,
    wire: {
      wireType: 2,
      absent: () => "",
      write(writer, number, value) {
        writeTag(writer, number, 2).fork();
        of.wire.write(writer, 1, value);
        writer.join();
      },
      read(reader) {
        const end = reader.uint32() + reader.pos;
        let value = "";
        while (reader.pos < end) {
          if (reader.uint32() !== ((1 << 3) | 2)) throw new PolicyFault("unknown field of a StringValue");
          value = reader.string();
        }
        if (reader.pos > end) throw new PolicyFault("it is longer than it says");
        return value;
      },
    },
  };
}

/** A size in bytes: "256KiB", or a plain number of bytes; in the bytes a uint64, which is never 0. */
export function sizeOf({ min, max }: { readonly min: number; readonly max: number }): Type<number> {
  const expected = expectedSize(min, max, "B");
  const isValid = (bytes: number | undefined): bytes is number => bytes !== undefined && bytes >= min && bytes <= max;
  return {
    shape: {
      expected,
      schema: { anyOf: [{ type: "integer" }, { type: "string", pattern: "^[0-9]{1,15}(B|KiB|MiB|GiB)?$" }] },
      read(node, field, reading) {
        const found = reading.follow(node, field);
        if (found === undefined) return undefined;
        const place = reading.place(found ?? node, field);
        const bytes = isScalar(found) ? parseSizeBytes(String(found.value), "B") : undefined;
        if (!isValid(bytes)) return reading.report(place, `expected ${expected}, found ${describe(found)}`);
        reading.places.set(field, place);
        return bytes;
      },
    },
    canonical(value) {
      if (isValid(value)) return value;
      throw new PolicyFault(`${value} is not ${expected}`);
    },
    render: (value) => (value % 1024 === 0 ? `${value / 1024}KiB` : value),
    wire: uint64Wire,
  };
}
