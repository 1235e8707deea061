/** Reads policy files from files, folders and stdin. */
import { readdir, readFile, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { AshlarError } from "../core/errors.js";
import { fileReason } from "../runtime/file-reason.js";
import type { PolicyFile } from "./client.js";
import type { WantedTypes } from "./descriptor-types.js";

/** The name of a .proto file, or of a descriptor set as compilers write it (.binpb). */
const descriptorName = /\.(proto|binpb)$/;

const filesMax = 10_000;
/** The most bytes that a control plane reads at once. */
const bytesMax = 8 * 1024 * 1024;

/** Returns whether a file has tests of policy, which are not policy. */
const testName = /\.test\.(ya?ml|json)$/;

/**
 * Reads every policy file that `paths` mean: a file whatever its name, a folder's *.yaml, *.yml and *.json with its
 * folders' (hidden ones left out), "-" stdin; but no tests (*.test.yaml). *.proto and *.binpb are read as the
 * Descriptors of their services, with the messages of methods that have private fields in the policy. A file that is
 * named twice is read once. Fails with `invalid_argument` if there is none.
 */
export async function readPolicyFiles(
  paths: readonly string[],
  readStdin: () => Promise<string>,
): Promise<readonly PolicyFile[]> {
  const names = new Map<string, string>();
  for (const path of paths) {
    const found = await listFiles(path);
    for (const name of found.filter((each) => !testName.test(each)))
      names.set(name === "-" ? name : resolve(name), name);
  }
  if (names.size === 0 && paths.length > 0)
    throw new AshlarError("invalid_argument", `no policy but only tests in ${paths.join(", ")}`);
  if (names.size > filesMax) throw tooMuch(`${names.size} files, at most ${filesMax} are read`);
  return readFiles([...names.values()], readStdin);
}

/** Reads the tests that `paths` mean, by the same rules. Fails with `invalid_argument` if there is none. */
export async function readTestFiles(paths: readonly string[]): Promise<readonly PolicyFile[]> {
  const names = new Map<string, string>();
  for (const path of paths) {
    for (const name of await listFiles(path)) if (testName.test(name)) names.set(resolve(name), name);
  }
  if (names.size === 0) throw new AshlarError("invalid_argument", `no tests (*.test.yaml) in ${paths.join(", ")}`);
  return readFiles([...names.values()], async () => "");
}

/** Returns the policy files below `folder` that `readPolicyFiles` would read; there may be none. */
export async function listPolicyFiles(folder: string): Promise<readonly string[]> {
  const found: string[] = [];
  await listFolder(folder, found);
  return found.filter((path) => !testName.test(path));
}

async function readFiles(names: readonly string[], readStdin: () => Promise<string>): Promise<readonly PolicyFile[]> {
  let bytes = 0;
  const contents = new Map<string, string>();
  const keep = async (name: string, content: string | Promise<string>): Promise<void> => {
    contents.set(name, await content);
    bytes += Buffer.byteLength(contents.get(name) ?? "");
    if (bytes > bytesMax) throw tooMuch(`more than ${bytesMax} bytes together; ${name} is the first that is too much`);
  };
  const [described, written] = [true, false].map((is) => names.filter((name) => descriptorName.test(name) === is));
  for (const name of written ?? []) await keep(name, name === "-" ? readStdin() : readText(name));
  const typed = wantedTypes(contents.values());
  for (const name of described ?? []) {
    const { readDescriptorFile } = await import("./descriptor-file.js"); // loaded only when it is needed
    await keep(name, readDescriptorFile(name, typed));
  }
  return names.map((name) => ({ name: name === "-" ? "stdin" : name, content: contents.get(name) ?? "" }));
}

/**
 * Returns the methods and fields whose message types have to be sent with the policy. Other types are left out: they
 * are long, and an earlier control plane refuses them.
 */
function wantedTypes(contents: Iterable<string>): WantedTypes {
  const methods = new Set<string>();
  const fields = new Set<string>();
  for (const content of contents) {
    for (const [, method = ""] of content.matchAll(/([\w.]+\/\w+) (?:request|response)\.\w/g)) methods.add(method);
    for (const [, field = ""] of content.matchAll(/\bfield["']?\s*:\s*["']?((?:[A-Za-z_]\w*\.)+\w+)/g))
      fields.add(field);
  }
  return { methods, fields: [...fields] };
}

async function listFiles(path: string): Promise<readonly string[]> {
  if (path === "-") return [path];
  const isFolder = await stat(path).then(
    (found) => found.isDirectory(),
    (cause) => {
      throw unreadable(path, cause);
    },
  );
  if (!isFolder) return [path];
  const found: string[] = [];
  await listFolder(path, found);
  if (found.length === 0)
    throw new AshlarError("invalid_argument", `no *.yaml, *.yml, *.json, *.proto or *.binpb below ${path}`);
  return found;
}

async function listFolder(folder: string, found: string[]): Promise<void> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((cause) => {
    throw unreadable(folder, cause);
  });
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (entry.name.startsWith(".")) continue;
    const path = join(folder, entry.name);
    if (entry.isDirectory()) await listFolder(path, found);
    else if (/\.(ya?ml|json)$/.test(entry.name) || descriptorName.test(entry.name)) found.push(path);
    if (found.length > filesMax) throw tooMuch(`more than ${filesMax} files below ${folder}`);
  }
}

async function readText(path: string): Promise<string> {
  const bytes = await readFile(path).catch((cause) => {
    throw unreadable(path, cause);
  });
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new AshlarError("invalid_argument", `${path} is not UTF-8 text`, { cause });
  }
}

function unreadable(path: string, cause: unknown): AshlarError {
  return new AshlarError("invalid_argument", `cannot read ${path}: ${fileReason(cause)}`, { cause });
}

function tooMuch(what: string): AshlarError {
  return new AshlarError("invalid_argument", `too much policy: ${what}`);
}
