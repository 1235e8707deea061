// Holds the shape of the tree: who may import whom, how long things may be, what core may not touch.
// Each message says what to do instead. Exit 1 if there is any.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { checkDependencies } from "./dependencies.mjs";
import { findCircles } from "./import-circles.mjs";

const root = resolve(import.meta.dirname, "..");
const mayImport = {
  core: ["core", "proto"],
  runtime: ["runtime", "core", "proto"],
  "control-plane": ["control-plane", "runtime", "core", "proto"],
  "data-plane": ["data-plane", "runtime", "core", "proto"],
  sdk: ["sdk", "runtime", "core", "proto"],
  cli: ["cli", "runtime", "core", "proto"],
  console: ["console"],
};
const everyFolder = [...Object.keys(mayImport), "test", "examples", "bench"];
// In the proxy's calls a second object per call costs more than a longer file does.
const linesMax = { source: 300, calls: 350, test: 450 };
const functionLinesMax = 75;
const problems = [];
const say = (file, line, message) => problems.push(`${relative(root, file)}:${line}: ${message}`);

function filesBelow(folder, ending) {
  if (!existsSync(join(root, folder))) return [];
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(ending))
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((file) => !file.includes("/sdk/dist/")); // what the build made
}

const partOf = (file) => relative(root, file).split("/")[0];

function checkImports(file, text) {
  const allowed = mayImport[partOf(file)];
  if (allowed === undefined) return;
  for (const match of text.matchAll(/^(?:import|export)[^;]*?from "([^"]+)";|import\("([^"]+)"\)/gm)) {
    const target = match[1] ?? match[2];
    const line = text.slice(0, match.index).split("\n").length;
    if (target.startsWith(".")) {
      const part = partOf(resolve(dirname(file), target));
      if (!allowed.includes(part))
        say(file, line, `${partOf(file)} may not import ${part}: move what both need to core or runtime`);
      if (part === "proto" && partOf(file) === "core" && !file.includes("/core/wire/")) {
        say(file, line, "in core only core/wire reads generated code: take a model type instead");
      }
    } else if (
      partOf(file) === "core" &&
      !["node:crypto", "node:buffer", "yaml", "@bufbuild/cel"].includes(target) &&
      !target.startsWith("@bufbuild/")
    ) {
      say(file, line, `core is pure and may not import ${target}: pass what it gives as an argument`);
    }
  }
}

const impure = [
  [/\bDate\.now\(|\bnew Date\(\)/, "take the time as an argument"],
  [/\bMath\.random\(/, "take the draw as an argument"],
  [/\bset(Timeout|Interval|Immediate)\(/, "core does not wait: return an effect"],
  [/\bprocess\./, "core knows no process: take a setting as an argument"],
  [/\bawait\b|\basync\b/, "core is synchronous: move the waiting to its caller"],
];

/** What may be done in one place only: the pattern, the files that may use it, and what other files use instead. */
const once = [
  [/addEventListener\("abort"/, ["runtime/abort.ts"], "take onAbort or whenAborted of runtime/abort.ts"],
  [/\bfsyncSync\(/, ["runtime/durable-file.ts"], "take writeDurably of runtime/durable-file.ts"],
  [
    /\.sync\(\)/,
    ["runtime/durable-file.ts", "data-plane/sync/slot-file.ts", "control-plane/store/"],
    "take replaceDurably or syncFolder of runtime/durable-file.ts",
  ],
  [/\b(net|server)\.listen\(/i, ["runtime/listen.ts"], "take listenOn of runtime/listen.ts"],
];

function withoutComments(line) {
  return line
    .replace(/\/\/.*$/, "")
    .replace(/^\s*\*.*$/, "")
    .replace(/\/\*.*?\*\//g, "")
    .replace(/"(?:[^"\\]|\\.)*"|`[^`]*`/g, '""');
}

function checkLines(file, text) {
  const lines = text.split("\n");
  const isTest = partOf(file) === "test";
  const carriesCalls = relative(root, file).startsWith("data-plane/proxy/");
  const max = isTest ? linesMax.test : carriesCalls ? linesMax.calls : linesMax.source;
  if (lines.length > max) say(file, max, `${lines.length} lines, at most ${max}: split it by what it is about`);
  lines.forEach((line, index) => {
    const code = withoutComments(line);
    if (partOf(file) === "core") {
      for (const [pattern, remedy] of impure) if (pattern.test(code)) say(file, index + 1, remedy);
    }
    for (const [pattern, files, remedy] of mayImport[partOf(file)] ? once : []) {
      // the code without its texts would lack the event's name
      if (
        pattern.test(line.replace(/^\s*(\*|\/\/).*/, "")) &&
        !files.some((own) => relative(root, file).startsWith(own))
      )
        say(file, index + 1, remedy);
    }
    if (/process\.env/.test(code) && mayImport[partOf(file)] && !/\/(main|index)\.ts$/.test(file)) {
      say(file, index + 1, "process.env belongs in main.ts: take the record as an argument");
    }
    if (/\b(TODO|FIXME|XXX)\b/.test(line)) say(file, index + 1, "finish it or file an issue");
    if (isTest && /\b(test|it|describe)\.(only|skip|todo)\b/.test(code))
      say(file, index + 1, "a focused, skipped or empty test hides what it stands for");
    if (/^export default\b/.test(code)) say(file, index + 1, "export by name");
    if (/^export \* /.test(code)) say(file, index + 1, "name what is exported");
  });
}

function checkFunctions(file, text) {
  if (partOf(file) === "test") return;
  const lines = text.split("\n");
  let start = -1;
  let indent = "";
  lines.forEach((line, index) => {
    const opens =
      /^(\s*)(?:export )?(?:async )?(?:function\b|(?:(?:public|private|protected|static|override|async|get|set|\*) ?)*[#\w]+\(.*\).*\{$)/.exec(
        line,
      );
    if (start < 0 && opens && line.trimEnd().endsWith("{") && !/^\s*(if|for|while|switch|return|catch)\b/.test(line)) {
      start = index;
      indent = opens[1];
    } else if (start >= 0 && line === `${indent}}`) {
      if (index - start + 1 > functionLinesMax)
        say(file, start + 1, `a function of ${index - start + 1} lines, at most ${functionLinesMax}: split it`);
      start = -1;
    }
  });
}

function checkDocs() {
  const documents = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"]
    .map((name) => join(root, name))
    .filter((path) => existsSync(path));
  for (const file of [...documents, ...filesBelow("docs", ".md")]) {
    readFileSync(file, "utf8")
      .split("\n")
      .forEach((line, index) => {
        for (const match of line.matchAll(
          /`((?:core|runtime|control-plane|data-plane|sdk|cli|console|test|examples|bench|docs|scripts|proto)\/[A-Za-z0-9_./-]*[A-Za-z0-9_/])`|\]\(((?!https?:|#)[^)\s]+?)(?:#[^)]*)?\)/g,
        )) {
          const named = match[1] !== undefined ? join(root, match[1]) : join(dirname(file), match[2]);
          if (!existsSync(named)) say(file, index + 1, `names ${match[1] ?? match[2]}, which is not there`);
        }
      });
  }
}

for (const folder of everyFolder) {
  for (const file of [...filesBelow(folder, ".ts"), ...filesBelow(folder, ".tsx")]) {
    const text = readFileSync(file, "utf8");
    checkImports(file, text);
    checkLines(file, text);
    checkFunctions(file, text);
  }
}
function checkProtos() {
  for (const file of filesBelow("proto/ashlar", ".proto")) {
    readFileSync(file, "utf8")
      .split("\n")
      .forEach((line, index) => {
        if (/^\s*optional\s/.test(line))
          say(
            file,
            index + 1,
            'compilers before 3.15 refuse "optional": take a message of google/protobuf/wrappers.proto',
          );
      });
  }
}

function checkCircles() {
  const files = everyFolder.flatMap((folder) => [...filesBelow(folder, ".ts"), ...filesBelow(folder, ".tsx")]);
  for (const circle of findCircles(files)) {
    const names = circle.map((file) => relative(root, file)).sort();
    say(circle[0], 1, `imports itself through ${names.join(", ")}: move what they share to a file of its own`);
  }
}

checkDocs();
checkProtos();
checkCircles();
for (const problem of checkDependencies(root)) say(...problem);
for (const problem of problems) console.error(problem);
process.exit(problems.length === 0 ? 0 : 1);
