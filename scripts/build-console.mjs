// Builds the pages of the console: console/dist with hashed names, which the control plane serves.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { gzipSync } from "node:zlib";
import * as esbuild from "esbuild";

const root = resolve(import.meta.dirname, "..");
const source = join(root, "console");
const dist = join(source, "dist");
/** The most bytes of script after gzip that the pages may have, all of them together. */
const scriptBytesMax = 200_000;

const shared = {
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  outdir: dist,
  metafile: true,
  legalComments: "none",
  assetNames: "[name]-[hash]",
  loader: { ".woff2": "file", ".svg": "copy" },
  jsx: "automatic",
  jsxImportSource: "preact",
  tsconfigRaw: {},
};

const outputsOf = (built) => Object.keys(built.metafile.outputs).map((path) => basename(path));
const only = (names, pattern) => names.find((name) => pattern.test(name)) ?? giveUp(`the build made no ${pattern}`);

function giveUp(line) {
  console.error(`console: ${line}`);
  process.exit(1);
}

async function build() {
  rmSync(dist, { recursive: true, force: true });
  mkdirSync(dist, { recursive: true });
  // The worker comes first: the page has to know its hashed name.
  const worker = await esbuild.build({
    ...shared,
    entryPoints: [join(source, "pages/mesh/layout-worker.ts")],
    entryNames: "[name]-[hash]",
  });
  const workerName = only(outputsOf(worker), /^layout-worker-.*\.js$/);
  const page = await esbuild.build({
    ...shared,
    splitting: true,
    entryPoints: [join(source, "main.tsx"), join(source, "theme/theme.css"), join(source, "theme/icon.svg")],
    entryNames: "[name]-[hash]",
    chunkNames: "part-[hash]",
    define: { LAYOUT_WORKER: JSON.stringify(`./${workerName}`) },
  });
  const names = outputsOf(page);
  const font = only(names, /^inter-.*\.woff2$/);
  const html = readFileSync(join(source, "index.html"), "utf8")
    .replace("%SCRIPT%", only(names, /^main-.*\.js$/))
    .replace("%STYLE%", only(names, /^theme-.*\.css$/))
    .replace("%ICON%", only(names, /^icon-.*\.svg$/))
    .replace("%FONT%", font)
    .replace("%PARTS%", neededFirst(page.metafile).map(preload).join("\n    "));
  writeFileSync(join(dist, "index.html"), html);
  checkSize([workerName, ...names].filter((name) => name.endsWith(".js")));
}

const preload = (name) => `<link rel="modulepreload" href="${name}">`;

/** The files that the first page is made of: a browser fetches them at once instead of one after the other. */
function neededFirst({ outputs }) {
  const from = (source) => Object.keys(outputs).find((path) => outputs[path].entryPoint === source);
  const needed = new Set();
  const take = (path) => {
    if (needed.has(path)) return;
    needed.add(path);
    for (const { path: next, kind } of outputs[path].imports) if (kind === "import-statement") take(next);
  };
  for (const source of ["console/main.tsx", "console/pages/mesh/mesh-page.tsx"])
    take(from(source) ?? giveUp(`the build made nothing of ${source}`));
  return [...needed].map((path) => basename(path)).filter((name) => !name.startsWith("main-"));
}

function checkSize(scripts) {
  const bytes = scripts.reduce((sum, name) => sum + gzipSync(readFileSync(join(dist, name))).length, 0);
  if (bytes > scriptBytesMax)
    giveUp(`the scripts have ${bytes} bytes after gzip, at most ${scriptBytesMax}: take something out`);
}

await build();
