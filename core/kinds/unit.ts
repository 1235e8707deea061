/** Units as a whole: the objects that they hold, their canonical form, and their bytes. */
import { BinaryReader, BinaryWriter } from "@bufbuild/protobuf/wire";
import { AshlarError } from "../errors.js";
import { gatewayNameIn, gatewayWorkload, isLabel } from "../identity.js";
import { calleeOf } from "./callee.js";
import { PolicyFault, renderFault, within } from "./fault.js";
import type { Kind } from "./kind.js";
import { list, sortOnce } from "./list.js";
import { readSlots, type Slot, writeSlots } from "./record.js";
import { kindOf, kinds, type PolicyObject, type Unit } from "./table.js";
import { orNone } from "./types.js";

/** The name of the unit about the mesh itself. */
export const meshUnitName = "@mesh";

type Parts = Record<string, unknown>;

/** Returns a unit with these objects and no others. */
export function unitWith(name: string, parts: Partial<Omit<Unit, "name">> = {}): Unit {
  const unit: Parts = { name };
  for (const { key, isSingle } of kinds) unit[key] = isSingle ? undefined : [];
  return { ...unit, ...parts } as Unit;
}

/** Returns the name of the unit that an object belongs to. */
export function unitNameOf(object: PolicyObject): string {
  const { isSingle, unit } = kindOf(object);
  if (unit === "mesh") return meshUnitName;
  if (unit === "gateway") return gatewayWorkload(object.name);
  if (isSingle) return object.name;
  const { service } = object as { readonly service?: string };
  return service ?? meshUnitName;
}

/** Returns the objects of a unit, kind by kind. */
export function objectsOf(unit: Unit): readonly PolicyObject[] {
  return kinds.flatMap((kind) => objectsOfKind(unit, kind));
}

function objectsOfKind(unit: Unit, { key, isSingle }: Kind<PolicyObject>): readonly PolicyObject[] {
  const part = (unit as unknown as Parts)[key];
  if (!isSingle) return part as readonly PolicyObject[];
  return part === undefined ? [] : [part as PolicyObject];
}

/** Builds a unit from its objects. Fails with `invalid_policy` if an object is there twice. */
export function unitOfObjects(name: string, objects: readonly PolicyObject[]): Unit {
  const parts = unitWith(name) as unknown as Parts;
  for (const object of objects) {
    const { key, isSingle, kind } = kindOf(object);
    if (!isSingle) (parts[key] as PolicyObject[]).push(object);
    else if (parts[key] === undefined) parts[key] = object;
    else throw new AshlarError("invalid_policy", `${kind} ${object.name} is there twice`);
  }
  return parts as unknown as Unit;
}

/** Units that `canonicalUnit` returned. They are frozen, so they stay canonical. */
const made = new WeakSet<Unit>();

/**
 * Returns a frozen copy in canonical form, the one form that has a digest: unordered lists are sorted and hold nothing
 * twice. Fails with `invalid_policy` on anything that the compiler could not rely on.
 */
export function canonicalUnit(unit: Unit): Unit {
  if (made.has(unit)) return unit;
  try {
    const canonical = makeCanonical(unit);
    made.add(canonical);
    return canonical;
  } catch (error) {
    if (!(error instanceof PolicyFault)) throw error;
    const which = JSON.stringify(unit.name.slice(0, 64));
    throw new AshlarError("invalid_policy", `unit ${which}: ${renderFault(error)}`, { cause: error });
  }
}

function makeCanonical(unit: Unit): Unit {
  const sort = sortOf(unit);
  const canonical: Parts = { name: unit.name };
  for (const kind of kinds) {
    const objects = objectsOfKind(unit, kind);
    const isHere = kind.unit === sort || (kind.unit === "either" && sort !== "gateway");
    if (objects.length > 0 && !isHere)
      throw new PolicyFault(
        `${kind.noun}s are in the unit of ${unitNouns[kind.unit]}, not in that of ${unitNouns[sort]}`,
      );
    const sorted = canonicalObjects(unit.name, kind, objects);
    canonical[kind.key] = kind.isSingle ? sorted[0] : sorted;
  }
  return Object.freeze(canonical) as unknown as Unit;
}

const unitNouns = {
  mesh: "the mesh",
  service: "a service",
  gateway: "a gateway",
  either: "a service or the mesh",
} as const;

/** Returns what a unit is about. Fails with a `PolicyFault` if its name and its objects contradict each other. */
function sortOf({
  name,
  service,
  egress,
  gateway,
  journals,
  routes,
}: Unit): Exclude<Kind<PolicyObject>["unit"], "either"> {
  if (name === meshUnitName) return "mesh";
  const gatewayName = gatewayNameIn(name);
  if (gatewayName === undefined && !isLabel(name))
    throw new PolicyFault("a unit is named like its service, by an RFC 1123 label");
  if (service !== undefined && egress !== undefined)
    throw new PolicyFault("a service and an egress have one name: what is called by it would be left open");
  if (egress !== undefined && journals.length > 0)
    throw new PolicyFault("what is outside the mesh has no journal: no proxy there would keep it");
  if (egress !== undefined && routes.some(({ rules }) => rules.some(({ rewrite }) => rewrite !== undefined)))
    throw new PolicyFault("a call that leaves the mesh goes on under the method that was judged: no rewrite");
  const about = gatewayName === undefined ? calleeOf({ service, egress })?.name : gateway?.name;
  if (about !== (gatewayName ?? name))
    throw new PolicyFault(
      `the ${gatewayName === undefined ? "service" : "gateway"} it is about is missing or has another name`,
    );
  return gatewayName === undefined ? "service" : "gateway";
}

function canonicalObjects(
  unit: string,
  kind: Kind<PolicyObject>,
  objects: readonly PolicyObject[],
): readonly PolicyObject[] {
  const { noun, type, isSingle } = kind;
  if (kind.isOnePerService && objects.length > 1) throw new PolicyFault(`a service has at most one ${noun}`);
  const why = kind.whyNotTogether?.(unit, objects);
  if (why !== undefined) throw new PolicyFault(why);
  const sorted = objects.map((object) => {
    if (!isLabel(object.name)) throw new PolicyFault(`${noun} ${JSON.stringify(object.name.slice(0, 64))}: not a name`);
    if (!isSingle && kind.unit !== "mesh" && unitNameOf(object) !== unit)
      throw new PolicyFault(`${noun} ${object.name} is about another service`);
    return within(`${noun} ${object.name}`, () => type.canonical(object));
  });
  return Object.freeze(within(`${noun}s`, () => sortOnce(sorted, ({ name }) => name)));
}

const nameSlot: Slot = {
  number: 1,
  label: "name",
  wire: {
    wireType: 2,
    absent: () => "",
    write: (writer, number, value) => writer.uint32((number << 3) | 2).string(value as string),
    read: (reader) => reader.string(),
  },
  get: (unit) => unit?.name,
  set(draft, value) {
    draft.name = value;
  },
};

/** The fields of a unit's message, in the order of their numbers. */
const slots: readonly Slot[] = [
  nameSlot,
  ...kinds.map(({ key, number, isSingle, type }): Slot => {
    const part = isSingle ? orNone(type) : list(type, { whenEmpty: "" });
    return {
      number,
      label: key,
      wire: part.wire as Slot["wire"],
      get: (unit) => unit?.[key],
      set(draft, value) {
        draft[key] = value;
      },
    };
  }),
].sort((a, b) => a.number - b.number);

/** Returns the bytes of a canonical unit: an `ashlar.v1.Unit` with its fields in the order of their numbers. */
export function encodeCanonical(unit: Unit): Uint8Array {
  const writer = new BinaryWriter();
  writeSlots(writer, slots, unit as unknown as Parts);
  return writer.finish();
}

/**
 * Parses the message of a unit, canonical or not. Fails with a `PolicyFault` on a field or value that this version does
 * not know, and with the protobuf reader's own error on malformed bytes.
 */
export function decodeUnit(bytes: Uint8Array): Unit {
  const draft: Parts = {};
  for (const slot of slots) slot.set(draft, slot.wire.absent());
  return readSlots(new BinaryReader(bytes), bytes.length, slots, draft) as unknown as Unit;
}
