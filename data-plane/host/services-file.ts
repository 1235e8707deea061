/** Reads the file of --services: a list of services, each with its settings named without the dashes. */
import { readFile, stat } from "node:fs/promises";
import type { Document, LineCounter } from "yaml";
import { AshlarError, isAshlarError } from "../../core/errors.js";
import { fileReason } from "../../runtime/file-reason.js";
import type { ServiceSettings, SettingValue } from "./service-settings.js";

const bytesMax = 1024 * 1024;
const servicesMax = 256;

/** The settings of a service, and their place in the file. */
export interface ListedService {
  readonly settings: ServiceSettings;
  /** "FILE:LINE". */
  readonly place: string;
}

/** Reads the file. Fails with `invalid_argument` if it cannot be read or is no list of services. */
export async function readServicesFile(path: string): Promise<readonly ListedService[]> {
  try {
    if ((await stat(path)).size > bytesMax) throw new Error(`it has more than ${bytesMax} bytes`);
    const { LineCounter, parseDocument } = await import("yaml"); // 6 MB that most proxies need not hold
    const lines = new LineCounter();
    return listedServices(parseDocument(await readFile(path, "utf8"), { lineCounter: lines }), lines, path);
  } catch (cause) {
    if (isAshlarError(cause)) throw cause;
    throw new AshlarError("invalid_argument", `--services: cannot read ${path}: ${fileReason(cause)}`, { cause });
  }
}

function listedServices(document: Document, lines: LineCounter, path: string): readonly ListedService[] {
  const [fault] = document.errors;
  if (fault !== undefined)
    throw invalid(`${path}:${lines.linePos(fault.pos[0]).line}`, fault.message.split("\n")[0] ?? "");
  const value: unknown = document.toJS({ maxAliasCount: 0 });
  if (!Array.isArray(value)) throw invalid(path, "expected a list of services");
  if (value.length > servicesMax) throw invalid(path, `expected at most ${servicesMax} services, got ${value.length}`);
  const items =
    (document.contents as { readonly items?: readonly { readonly range?: readonly number[] }[] }).items ?? [];
  return value.map((item: unknown, index) => {
    const place = `${path}:${lines.linePos(items[index]?.range?.[0] ?? 0).line}`;
    return { settings: readSettings(item, place), place };
  });
}

/**
 * Reads the settings of an item. Fails with `invalid_argument` if it is no mapping of names to values and lists of
 * values.
 */
export function readSettings(item: unknown, place: string): ServiceSettings {
  if (typeof item !== "object" || item === null || Array.isArray(item))
    throw invalid(place, "expected the settings of a service, such as `service: payments`");
  const settings: Record<string, SettingValue> = {};
  for (const [name, value] of Object.entries(item)) {
    if (!isScalar(value) && !(Array.isArray(value) && value.every(isScalar)))
      throw invalid(place, `${name}: expected a value or a list of values`);
    settings[name] = Array.isArray(value) ? value.map(String) : value;
  }
  if (typeof settings.service !== "string") throw invalid(place, "service: expected the name of a service");
  return settings;
}

function isScalar(value: unknown): value is string | number | boolean {
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean";
}

function invalid(place: string, why: string): AshlarError {
  return new AshlarError("invalid_argument", `${place}: ${why}`);
}
