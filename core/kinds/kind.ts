/** A kind of policy: everything that is stated about it, in one place. */
import type { Shape } from "../snapshot/shapes.js";
import type { Checked, PolicyChecker } from "./checker.js";
import { type Fields, type RecordOf, type RecordType, record, required } from "./record.js";
import { constant } from "./types.js";

/** What every object of policy has. */
export interface NamedObject {
  readonly kind: string;
  readonly name: string;
}

export interface Kind<Object extends NamedObject, Key extends string = string> {
  readonly kind: Object["kind"];
  /** What operators call one, in the middle of a sentence: "rate limit". */
  readonly noun: string;
  /** One sentence: what an object of it says. */
  readonly about: string;
  /** Its page in docs/, with a table of its fields that comes from here. */
  readonly page: string;
  /** Which unit holds its objects: that of the service they are about, or that of the mesh. */
  readonly unit: "service" | "mesh";
  /** The field of a unit that holds its objects, and its number in the unit's bytes. */
  readonly key: Key;
  readonly number: number;
  /** A unit has at most one, as a value of its own and not in a list. */
  readonly isSingle: boolean;
  readonly type: RecordType<Object>;
  /** How files write it. */
  readonly shape: Shape<Object>;
  /** What a file says of an object, its kind and name first. */
  render(object: Object): Record<string, unknown>;
  /** A service has at most one. */
  readonly isOnePerService: boolean;
  /** What is wrong with all objects of one unit together; undefined: nothing. */
  whyNotTogether?(unit: string, objects: readonly Object[]): string | undefined;
  /** Checks an object against the rest of the policy and the fleet. */
  check?(object: Object, checker: PolicyChecker): void;
  /** Checks all objects of the kind together. */
  checkAll?(objects: readonly Checked<Object>[]): void;
  /** The service that an object makes into more than a mere client; undefined: none. */
  exposes?(object: Object): string | undefined;
}

type Optional = "isSingle" | "isOnePerService" | "shape" | "render";
type Statement<Object extends NamedObject, Key extends string> = Omit<Kind<Object, Key>, "kind" | "type" | Optional> & {
  readonly isSingle?: boolean;
  readonly isOnePerService?: boolean;
  /** Another form in files than the fields say. */
  readonly written?: { readonly shape: Shape<Object>; render(object: Object): Record<string, unknown> };
  /** What is wrong with an object as a whole; undefined: nothing. */
  whyNot?(object: Object): string | undefined;
};

/** An object of the kind `K` with these fields, one of which is its name. */
export type ObjectWith<K extends string, F> = { readonly kind: K; readonly name: string } & RecordOf<F>;

/** Makes a kind from its fields. */
export function defineKind<const K extends string, const F extends Fields, const Key extends string>(
  kind: K,
  fields: F,
  { written, whyNot, ...statement }: Statement<ObjectWith<K, F>, Key>,
): Kind<ObjectWith<K, F>, Key> {
  type Object = ObjectWith<K, F>;
  const all = { kind: required(0, constant(kind), kind, "The kind of object."), ...fields };
  const article = /^[AEIOU]/.test(kind) ? "an" : "a";
  const type = record(`${article} ${kind}`, all, {
    ...(whyNot === undefined ? {} : { why: (value) => whyNot(value as unknown as Object) }),
  }) as unknown as RecordType<Object>;
  return {
    isSingle: false,
    isOnePerService: false,
    ...(statement as Omit<Kind<Object, Key>, "kind" | "type" | Optional>),
    kind,
    type,
    shape: written?.shape ?? type.shape,
    render: written?.render ?? ((object) => type.render(object) as Record<string, unknown>),
  } as Kind<Object, Key>;
}
