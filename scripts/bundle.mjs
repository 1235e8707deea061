// Makes one file of each program that people start (and of what they load only at times), in place of what the compiler
// wrote there: hundreds of modules take more memory and time to load than their code does. The modules stay beside them
// in dist, for whoever imports one. `ashlar up` is not bundled: packages that it alone loads read files beside their
// own.
import { readFileSync, rmSync } from "node:fs";
import { join, relative, resolve, sep } from "node:path";
import { build } from "esbuild";

const dist = resolve(import.meta.dirname, "../dist");
const programs = ["cli/main.js", "data-plane/main.js", "data-plane/edge/main.js", "data-plane/workers/main.js"];
/**
 * Modules that keep their own files. A running proxy may import them hours after its start, when another version may
 * have been installed over its own: their addresses must not change as names of chunks do.
 */
const lateModules = ["runtime/tls-identity-request.js"];
/**
 * Packages that are imported late stay packages: they are rarely used, some read files beside their own, and a CommonJS
 * package would have no named exports in a file of its own.
 */
const latePackages = {
  name: "late packages",
  setup({ onResolve }) {
    onResolve({ filter: /^[^./]/ }, ({ kind, path }) =>
      kind === "dynamic-import" ? { path, external: true } : undefined,
    );
  },
};

/**
 * Avoids expensive built-ins. An ES module reads all exports of a built-in that it imports; one of http loads `fetch`,
 * one of tls parses all root certificates.
 */
const dearBuiltins = {
  name: "dear built-ins",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^node:(http|https|tls|perf_hooks)$/ }, ({ kind, path }) =>
      kind === "import-statement" ? { path, namespace: "built-in" } : undefined,
    );
    onLoad({ filter: /.*/, namespace: "built-in" }, ({ path }) => ({
      contents: `module.exports = process.getBuiltinModule(${JSON.stringify(path)});`,
    }));
  },
};

/** Keeps `import.meta` of the bundled modules as it was, because modules find files by their own address. */
const addresses = {
  name: "addresses",
  setup({ onLoad }) {
    onLoad({ filter: /\/dist\/(cli|core|data-plane|runtime|proto)\/.*\.js$/ }, ({ path }) => {
      const code = readFileSync(path, "utf8");
      if (!code.includes("import.meta.url")) return undefined;
      const name = JSON.stringify(relative(dist, path).replaceAll(sep, "/"));
      return { contents: code.replaceAll("import.meta.url", `(ashlarDist + ${name})`) };
    });
  },
};

const banner = `import { createRequire as ashlarRequire } from "node:module";
const require = ashlarRequire(import.meta.url);
const ashlarDist = import.meta.url.slice(0, import.meta.url.lastIndexOf("/dist/") + 6);`;

rmSync(join(dist, "chunks"), { recursive: true, force: true });
await build({
  entryPoints: [...programs, ...lateModules].map((module) => join(dist, module)),
  outdir: dist,
  outbase: dist,
  allowOverwrite: true,
  chunkNames: "chunks/[name]-[hash]",
  bundle: true,
  splitting: true,
  format: "esm",
  external: ["@grpc/reflection"], // it reads files beside its own
  platform: "node",
  target: "node20.19",
  // names stay: some packages look at them, and so do people who profile
  minifyWhitespace: true,
  minifySyntax: true,
  legalComments: "none",
  // for whoever runs Node with --enable-source-maps in a clone; packages leave them out, and without the flag nothing reads them
  sourcemap: "linked",
  sourcesContent: false,
  banner: { js: banner },
  plugins: [latePackages, dearBuiltins, addresses],
  logLevel: "warning",
});
