/** A kind of policy, with everything that is stated about it. */
import type { Shape } from "../snapshot/shapes.js";
import type { Checked, PolicyChecker } from "./checker.js";
import { type Fields, type RecordOf, type RecordType, record, required } from "./record.js";
import { constant } from "./types.js";

/** The fields that every policy object has. */
export interface NamedObject {
  readonly kind: string;
  readonly name: string;
}

export interface Kind<Object extends NamedObject, Key extends string = string> {
  readonly kind: Object["kind"];
  /** The name of the kind in the middle of a sentence, such as "rate limit". */
  readonly noun: string;
  /** One sentence that says what an object of this kind states. */
  readonly about: string;
  /** Its page in docs/, with a table of its fields that comes from here. */
  readonly page: string;
  /**
   * The unit that holds objects of this kind: that of their service, that of the mesh, that of their gateway, or
   * "either" (the mesh's for objects that name no service, otherwise the service's).
   */
  readonly unit: "service" | "mesh" | "gateway" | "either";
  /** The field of a unit that holds its objects, and its number in the unit's bytes. */
  readonly key: Key;
  readonly number: number;
  /** True if a unit has at most one object of this kind, stored as a single value instead of a list. */
  readonly isSingle: boolean;
  readonly type: RecordType<Object>;
  /** The shape of the object in files. */
  readonly shape: Shape<Object>;
  /** Returns the object as it is written in a file, `kind` and `name` first. */
  render(object: Object): Record<string, unknown>;
  /**
   * True if a service has at most one object of this kind. The same holds for the mesh, where an object may be about
   * the mesh.
   */
  readonly isOnePerService: boolean;
  /** Returns what is wrong with the objects of one unit together, or undefined. */
  whyNotTogether?(unit: string, objects: readonly Object[]): string | undefined;
  /** Checks an object against the rest of the policy and the fleet. */
  check?(object: Object, checker: PolicyChecker): void;
  /** Checks all objects of this kind together. */
  checkAll?(objects: readonly Checked<Object>[]): void;
  /** Returns the service that this object exposes to callers, or undefined if it exposes none. */
  exposes?(object: Object): string | undefined;
}

type Optional = "isSingle" | "isOnePerService" | "shape" | "render";
type Statement<Object extends NamedObject, Key extends string> = Omit<Kind<Object, Key>, "kind" | "type" | Optional> & {
  readonly isSingle?: boolean;
  readonly isOnePerService?: boolean;
  /** The shape in files, if it differs from the fields. */
  readonly written?: { readonly shape: Shape<Object>; render(object: Object): Record<string, unknown> };
  /** Returns what is wrong with an object as a whole, or undefined. */
  whyNot?(object: Object): string | undefined;
  /** Fields that are planned. They are refused, so that nobody believes that they are in force. */
  readonly later?: Readonly<Record<string, string>>;
};

/** An object of the kind `K` with these fields, one of which is its name. */
export type ObjectWith<K extends string, F> = { readonly kind: K; readonly name: string } & RecordOf<F>;

/** Makes a kind from its fields. */
export function defineKind<const K extends string, const F extends Fields, const Key extends string>(
  kind: K,
  fields: F,
  { written, whyNot, later, ...statement }: Statement<ObjectWith<K, F>, Key>,
): Kind<ObjectWith<K, F>, Key> {
  type Object = ObjectWith<K, F>;
  const all = { kind: required(0, constant(kind), kind, "The kind of object."), ...fields };
  const article = /^[AEIOU]/.test(kind) ? "an" : "a";
  const type = record(`${article} ${kind}`, all, {
    ...(later === undefined ? {} : { later }),
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
