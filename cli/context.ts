/** The operator's context: the address of the control plane, and the certificate that proves who the operator is. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { AshlarError } from "../core/errors.js";
import { parseHostPort } from "../runtime/config.js";
import { fileReason } from "../runtime/file-reason.js";

export interface AdminContext {
  /** The file it was read from, for messages. */
  readonly path: string;
  /** The SHA-256 of the mesh's root key in hexadecimal; undefined: an older `ashlar up` wrote the context. */
  readonly rootHash: string | undefined;
  /** The address of the admin listener, "HOST:PORT". */
  readonly admin: string;
  /** The CA certificate in PEM. */
  readonly ca: string;
  /** The operator's certificate chain in PEM, leaf first. */
  readonly certificate: string;
  /** The operator's private key in PEM. */
  readonly key: string;
}

/** Returns the path of the context if neither --context nor ASHLAR_CONTEXT is given. */
export function defaultContextPath(env: Readonly<Record<string, string | undefined>>, home: string): string {
  const configured = env.XDG_CONFIG_HOME;
  // relative paths are invalid and ignored (XDG Base Directory Specification)
  const folder = configured?.startsWith("/") ? configured : join(home, ".config");
  return join(folder, "ashlar", "admin.json");
}

/** Reads a context file. Fails with `invalid_argument` and says what to do. */
export function readContext(path: string): AdminContext {
  const content = parseJson(path, readText(path));
  const field = (name: string): string => {
    const value = content[name];
    if (typeof value === "string" && value !== "") return value;
    throw broken(path, `"${name}" is missing`);
  };
  const context = {
    path,
    rootHash: typeof content.rootHash === "string" ? content.rootHash : undefined,
    admin: field("admin"),
    ca: field("ca"),
    certificate: field("certificate"),
    key: field("key"),
  };
  if (context.rootHash !== undefined && !/^[0-9a-f]{64}$/.test(context.rootHash))
    throw broken(path, '"rootHash" is not a SHA-256');
  if (parseHostPort(context.admin) === undefined) {
    throw broken(path, `"admin" has to be HOST:PORT, it is ${JSON.stringify(context.admin)}`);
  }
  for (const name of ["ca", "certificate", "key"] as const) {
    if (!context[name].includes("-----BEGIN ")) throw broken(path, `"${name}" is not PEM`);
  }
  return context;
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    const why = isMissing(cause) ? `no context at ${path}` : `cannot read the context ${path}: ${fileReason(cause)}`;
    const remedy =
      "give --context FILE, or set ASHLAR_CONTEXT=FILE, where FILE is the admin.json that `ashlar up` wrote; it printed the path when it began";
    throw new AshlarError("invalid_argument", `${why}: ${remedy}`, { cause });
  }
}

function isMissing(error: unknown): boolean {
  return typeof error === "object" && error !== null && "code" in error && error.code === "ENOENT";
}

function parseJson(path: string, text: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw broken(path, "it is not JSON"); // the parser's message would quote the file, which holds a key
  }
  if (typeof value !== "object" || value === null) throw broken(path, "it is not a JSON object");
  return value as Readonly<Record<string, unknown>>;
}

function broken(path: string, why: string): AshlarError {
  return new AshlarError("invalid_argument", `the context ${path} is no admin.json of \`ashlar up\`: ${why}`);
}
