/**
 * Settings from flags, then `ASHLAR_*` variables, then a file (`--config FILE`, YAML or JSON). The first source with a
 * value wins. All invalid values are reported together.
 */
import { expectedDuration, parseOptionMs } from "../core/duration.js";
import { AshlarError } from "../core/errors.js";
import { expectedSize, parseSizeBytes, type SizeUnit, sizeBytes } from "../core/size.js";
import { renderNearest } from "../core/snapshot/nearest.js";

/**
 * The sources of settings: `--inbound HOST:PORT` is `inbound` in `flags`, ASHLAR_INBOUND in `env`, and `inbound:` in
 * the file.
 */
export interface ConfigSources {
  readonly flags: Readonly<Record<string, unknown>>;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly file: Readonly<Record<string, unknown>>;
}

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** An address to listen on or to dial: a Unix socket, or TCP. */
export type SocketAddress = { readonly path: string } | HostPort;

/** Parses "HOST:PORT" or "[IPv6]:PORT". Returns undefined if it is neither. Port 0 means a free port. */
export function parseHostPort(text: string): HostPort | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  const host = match?.[1] ?? match?.[2];
  return host !== undefined && port <= 65535 ? { host, port } : undefined;
}

/** Parses "unix:PATH" or "HOST:PORT". Returns undefined if it is neither. A path has at most 107 bytes (sun_path). */
export function parseSocketAddress(text: string): SocketAddress | undefined {
  if (!text.startsWith("unix:")) return parseHostPort(text);
  const path = text.slice("unix:".length);
  return path !== "" && Buffer.byteLength(path) <= 107 ? { path } : undefined;
}

export class ConfigReader {
  readonly #sources: ConfigSources;
  readonly #problems: string[] = [];
  /** The names of all settings that were read. Any other entry in the file is reported. */
  readonly #known = new Set<string>(["config"]);
  readonly #lists = new Set<string>();

  constructor(sources: ConfigSources) {
    this.#sources = sources;
  }

  /** Returns the raw value of a setting from the first source that has it. */
  #raw(name: string): unknown {
    const { flags, env, file } = this.#sources;
    this.#known.add(name);
    const camel = name.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
    return flags[camel] ?? env[`ASHLAR_${name.replaceAll("-", "_").toUpperCase()}`] ?? file[name];
  }

  /** Parses a setting. A value that `parse` refuses is recorded as a problem, which says what was `expected`. */
  #read<Value>(name: string, expected: string, parse: (text: string) => Value | undefined): Value | undefined {
    const raw = this.#raw(name);
    if (raw === undefined || raw === null || typeof raw === "object") return undefined; // `throwIfInvalid` reports objects
    const value = parse(String(raw));
    if (value === undefined) this.problem(`--${name}: expected ${expected}, got ${JSON.stringify(raw)}`);
    return value;
  }

  /** Declares settings that other code reads, so that the file may contain them. */
  knows(...names: readonly string[]): void {
    for (const name of names) this.#known.add(name);
  }

  problem(message: string): void {
    this.#problems.push(message);
  }

  text(name: string): string | undefined {
    return this.#read(name, "some text", (text) => (text === "" ? undefined : text));
  }

  required(name: string): string {
    const value = this.text(name);
    if (value === undefined && this.#raw(name) === undefined) this.problem(`--${name} is missing`);
    return value ?? "";
  }

  /** Reads a setting with several values: a repeated flag, a variable separated by commas, or a list in the file. */
  list(name: string): readonly string[] {
    const raw = this.#raw(name);
    this.#lists.add(name);
    if (raw === undefined || raw === null) return [];
    if (Array.isArray(raw)) return raw.map(String);
    if (typeof raw === "object") return [];
    return String(raw)
      .split(",")
      .map((part) => part.trim())
      .filter((part) => part !== "");
  }

  flag(name: string): boolean {
    const raw = this.#raw(name);
    if (raw === undefined || raw === null || raw === false || raw === "false" || raw === "0") return false;
    if (raw === true || raw === "true" || raw === "1" || raw === "") return true;
    this.problem(`--${name}: expected true or false, got ${JSON.stringify(raw)}`);
    return false;
  }

  integer(name: string, bounds: { readonly min: number; readonly max: number }): number | undefined {
    return this.#read(name, `a whole number from ${bounds.min} to ${bounds.max}`, (text) => {
      const value = /^\d{1,15}$/.test(text) ? Number(text) : undefined;
      return value !== undefined && value >= bounds.min && value <= bounds.max ? value : undefined;
    });
  }

  /** Reads a share from 0 to 1, which may be written as 0% to 100%. */
  share(name: string): number | undefined {
    return this.#read(name, "a share such as 0.01 or 1%", (text) => {
      const match = /^(\d{1,3}(?:\.\d{1,9})?)(%?)$/.exec(text);
      const value = match === null ? Number.NaN : Number(match[1]) / (match[2] === "%" ? 100 : 1);
      return value <= 1 ? value : undefined;
    });
  }

  durationMs(name: string): number | undefined {
    return this.#read(name, expectedDuration(), parseOptionMs);
  }

  /** Reads a size and returns it in bytes. The bounds and a plain number are in `unit`. */
  sizeBytes(
    name: string,
    { min, max }: { readonly min: number; readonly max: number },
    unit: SizeUnit,
  ): number | undefined {
    return this.#read(name, expectedSize(min, max, unit), (text) => {
      const bytes = parseSizeBytes(text, unit);
      return bytes !== undefined && bytes >= sizeBytes(min, unit) && bytes <= sizeBytes(max, unit) ? bytes : undefined;
    });
  }

  hostPort(name: string): HostPort | undefined {
    return this.#read(name, "HOST:PORT", parseHostPort);
  }

  socketAddress(name: string): SocketAddress | undefined {
    return this.#read(name, "unix:PATH (at most 107 bytes) or HOST:PORT", parseSocketAddress);
  }

  oneOf<Choice extends string>(name: string, choices: readonly Choice[]): Choice | undefined {
    return this.#read(name, `one of ${choices.join(", ")}`, (text) => choices.find((choice) => choice === text));
  }

  /** Fails with `invalid_argument` and one line for each problem. Call it after all settings were read. */
  throwIfInvalid(): void {
    for (const [name, value] of Object.entries(this.#sources.file)) {
      if (!this.#known.has(name)) {
        this.problem(`--config: unknown setting ${JSON.stringify(name)}${renderNearest(name, this.#known)}`);
      } else if (!isScalar(value) && !(this.#lists.has(name) && Array.isArray(value) && value.every(isScalar))) {
        const expected = this.#lists.has(name) ? "a value or a list of values" : "one value";
        this.problem(`--config: ${name}: expected ${expected}, got ${JSON.stringify(value)}`);
      }
    }
    if (this.#problems.length > 0) throw new AshlarError("invalid_argument", this.#problems.join("\n"));
  }
}

function isScalar(value: unknown): boolean {
  return value === null || typeof value !== "object";
}
