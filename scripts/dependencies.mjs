// Compares the packages that code imports with those that package.json and sdk/package.json declare, in both directions.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";

const productFolders = ["core", "runtime", "control-plane", "data-plane", "cli", "proto/gen"];
const otherFolders = ["test", "bench", "examples", "scripts", "sdk", "console"];
/** Files beside those of `otherFolders` that name packages without importing them: tools that are run, plug-ins, types. */
const namingFiles = ["jest.config.json", "biome.json", "buf.gen.yaml", "tsconfig.json"];

function filesBelow(path) {
  if (!existsSync(path)) return [];
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.(ts|tsx|css|mjs|cjs|js)$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((file) => !/\/(dist|node_modules)\//.test(file));
}

/** Returns what a file imports: relative paths as written, packages by name. */
function importsOf(file) {
  const found = [];
  const statements =
    /^(?:import|export)\s[^;]*?from "([^"]+)";|(?<![\w#.])(?:import|require|require\.resolve)\("([^"]+)"\)/gm;
  for (const match of readFileSync(file, "utf8").matchAll(statements)) found.push(match[1] ?? match[2]);
  return found;
}

function packageOf(specifier) {
  if (/^(\.|node:|bun:)/.test(specifier)) return undefined;
  return /^(?:@[a-z0-9-]+\/)?[a-z0-9][a-z0-9._-]*/.exec(specifier)?.[0];
}

/** Returns the imported packages, each with a file that imports it. */
function packagesIn(files) {
  const found = new Map();
  for (const file of files) {
    for (const specifier of importsOf(file)) {
      const name = packageOf(specifier);
      if (name !== undefined && !found.has(name)) found.set(name, file);
    }
  }
  return found;
}

/**
 * Returns the files of `folder` and all that they import from elsewhere in the tree, which are compiled into the same
 * package.
 */
function withImported(folder) {
  const seen = new Set(filesBelow(folder));
  for (const file of seen) {
    for (const specifier of importsOf(file)) {
      const target = specifier.startsWith(".") && resolve(dirname(file), specifier.replace(/\.js$/, ".ts"));
      if (target && existsSync(target)) seen.add(target);
    }
  }
  return [...seen];
}

function peersOf(root, name) {
  const manifest = join(root, "node_modules", name, "package.json");
  return existsSync(manifest) ? Object.keys(JSON.parse(readFileSync(manifest, "utf8")).peerDependencies ?? {}) : [];
}

/** Returns the problems, each as [file, line, message]. */
export function checkDependencies(root) {
  const read = (path) => JSON.parse(readFileSync(join(root, path), "utf8"));
  const [own, sdk] = [read("package.json"), read("sdk/package.json")];
  const names = (...lists) => new Set(lists.flatMap((list) => Object.keys(list ?? {})));
  const self = new Set([own.name, sdk.name]);
  const problems = [];
  const refuse = (file, message) => problems.push([file, 1, message]);

  const product = packagesIn(productFolders.flatMap((folder) => filesBelow(join(root, folder))));
  const others = packagesIn(otherFolders.flatMap((folder) => filesBelow(join(root, folder))));
  const ofSdk = packagesIn(withImported(join(root, "sdk")));
  const runtime = names(own.dependencies);
  const all = names(own.dependencies, own.devDependencies);
  const declaredBySdk = names(sdk.dependencies, sdk.peerDependencies);

  for (const [name, file] of product) {
    if (!runtime.has(name)) refuse(file, `imports ${name}, which "dependencies" of package.json do not have: add it`);
  }
  for (const [name, file] of others) {
    if (!all.has(name) && !self.has(name)) refuse(file, `imports ${name}, which package.json does not have: add it`);
  }
  for (const [name, file] of ofSdk) {
    if (!declaredBySdk.has(name) && !self.has(name))
      refuse(file, `is part of the SDK and imports ${name}, which sdk/package.json does not have: add it`);
  }
  const manifest = join(root, "package.json");
  for (const name of runtime) {
    if (!product.has(name))
      refuse(manifest, `"dependencies" have ${name}, which no product code imports: move it to devDependencies`);
  }
  const naming = [
    ...otherFolders.flatMap((folder) => filesBelow(join(root, folder))),
    ...namingFiles.map((name) => join(root, name)),
  ];
  const text = [JSON.stringify(own.scripts), ...naming.map((file) => readFileSync(file, "utf8"))].join("\n");
  const peers = new Set([...all].flatMap((name) => peersOf(root, name)));
  for (const name of names(own.devDependencies)) {
    const asNamed = name.startsWith("@types/") ? `"${name.slice("@types/".length)}"` : name;
    if (!others.has(name) && !peers.has(name) && !text.includes(asNamed))
      refuse(manifest, `"devDependencies" have ${name}, which nothing imports or runs: remove it`);
  }
  for (const name of declaredBySdk) {
    if (!ofSdk.has(name))
      refuse(join(root, "sdk/package.json"), `declares ${name}, which the SDK does not import: remove it`);
  }
  return problems;
}
