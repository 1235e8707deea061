/**
 * The packages as `npm pack` makes them, used as their users do: from JavaScript and TypeScript, as ES modules and as
 * CommonJS. Packages of the checkout stand in for the registry, so nothing is fetched.
 */
import { execFile, execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { createFakeAgent, type FakeAgent } from "./fake-agent.js";

const root = resolve(process.cwd());
const run = promisify(execFile);
let folder: string;
let agent: FakeAgent;

interface Packed {
  readonly filename: string;
  readonly files: readonly { readonly path: string }[];
}

function pack(from: string): Packed {
  const words = ["pack", "--json", "--offline", "--ignore-scripts", "--pack-destination", folder];
  const [packed] = JSON.parse(execFileSync("npm", words, { cwd: join(root, from), encoding: "utf8" })) as Packed[];
  if (packed === undefined) throw new Error(`npm pack made nothing of ${from}`);
  return packed;
}

function unpack(packed: Packed, into: string): void {
  mkdirSync(into, { recursive: true });
  execFileSync("tar", ["-xzf", join(folder, packed.filename), "--strip-components=1", "-C", into]);
}

let sdk: Packed;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "ashlar-packages-"));
  agent = await createFakeAgent("inventory");
  await agent.start();
  sdk = pack("sdk");
});
afterAll(async () => {
  await agent.remove();
  rmSync(folder, { recursive: true, force: true });
});

/** Makes a project that has the packed SDK and its peer installed. */
function createProject(name: string, type: "module" | "commonjs", files: Readonly<Record<string, string>>): string {
  const project = join(folder, name);
  unpack(sdk, join(project, "node_modules/ashlar-sdk"));
  for (const dependency of ["@grpc/grpc-js", "@bufbuild/protobuf", "@types/node"]) {
    const place = join(project, "node_modules", dependency);
    mkdirSync(dirname(place), { recursive: true });
    symlinkSync(join(root, "node_modules", dependency), place);
  }
  writeFileSync(join(project, "package.json"), JSON.stringify({ name, type }));
  for (const [file, text] of Object.entries(files)) writeFileSync(join(project, file), text);
  return project;
}

/** What an application does from join to leave; prints one line. */
const body = `
async function main() {
  const mesh = await join({ service: "inventory", timeoutMs: 20000 });
  const server = new Server();
  await mesh.serve(server);
  const [address, , options] = mesh.client("payments");
  const failure = await join({ service: "inventory", env: {} }).catch((error) => error);
  console.log(JSON.stringify({
    spiffeId: mesh.description.spiffeId,
    address,
    authority: options["grpc.default_authority"],
    code: isAshlarError(failure) && failure.code,
    left: await mesh.leave(),
  }));
}
main().then(() => process.exit(0));
`;

async function expectToRun(script: string): Promise<void> {
  const { stdout } = await run(process.execPath, [script], {
    env: { ...process.env, ASHLAR_AGENT: agent.target, NODE_OPTIONS: "" },
    timeout: 50_000,
  });
  expect(JSON.parse(stdout)).toEqual({
    spiffeId: "spiffe://test/service/inventory",
    address: `unix:${join(agent.folder, "outbound.sock")}`,
    authority: "payments",
    code: "invalid_argument",
    left: true,
  });
}

test("a JavaScript application of ES modules joins with ashlar-sdk", async () => {
  const source = `import { Server } from "@grpc/grpc-js";\nimport { isAshlarError, join } from "ashlar-sdk";\n${body}`;
  await expectToRun(join(createProject("js-modules", "module", { "main.js": source }), "main.js"));
});

test("a JavaScript application of CommonJS joins with ashlar-sdk", async () => {
  const source = `const { Server } = require("@grpc/grpc-js");\nconst { isAshlarError, join } = require("ashlar-sdk");\n${body}`;
  await expectToRun(join(createProject("js-commonjs", "commonjs", { "main.js": source }), "main.js"));
});

const typed = `import { Metadata, Server } from "@grpc/grpc-js";
import { callerOf, isAshlarError, join, type Mesh } from "ashlar-sdk";
export const served = async (mesh: Mesh, server: Server): Promise<void> => { await mesh.serve(server); };
export const caller: string | undefined = callerOf({ metadata: new Metadata() });
${body}`;

for (const [name, compiler, type, options, runs] of [
  ["node16, ES modules", "typescript", "module", { module: "node16", moduleResolution: "node16" }, true],
  ["node16, CommonJS", "typescript", "commonjs", { module: "node16", moduleResolution: "node16" }, true],
  ["nodenext, ES modules", "typescript", "module", { module: "nodenext", moduleResolution: "nodenext" }, false],
  ["nodenext, CommonJS", "typescript", "commonjs", { module: "nodenext", moduleResolution: "nodenext" }, false],
  ["bundler", "typescript", "module", { module: "esnext", moduleResolution: "bundler" }, true],
  [
    "classic Node resolution (node10)",
    "typescript-5",
    "commonjs",
    { module: "commonjs", moduleResolution: "node10" },
    true,
  ],
  ["nodenext with TypeScript 5", "typescript-5", "module", { module: "nodenext", moduleResolution: "nodenext" }, false],
] as const) {
  test(`a TypeScript application compiles against ashlar-sdk under ${name}`, async () => {
    const project = createProject(`ts-${name.replaceAll(/[^a-z0-9]+/gi, "-")}`, type, {
      "main.ts": typed,
      "tsconfig.json": JSON.stringify({
        compilerOptions: {
          ...options,
          target: "es2022",
          strict: true,
          exactOptionalPropertyTypes: true,
          types: ["node"],
          skipLibCheck: false,
          outDir: "out",
        },
        files: ["main.ts"],
      }),
    });
    const compiled = await run(process.execPath, [
      join(root, "node_modules", compiler, "bin/tsc"),
      "-p",
      project,
    ]).catch((error: { stdout: string }) => error);
    expect(compiled.stdout).toBe("");
    if (runs) await expectToRun(join(project, "out/main.js"));
  });
}

test("the SDK's package holds what it needs and nothing else", () => {
  const places = new Set(sdk.files.map(({ path }) => path.replace(/^(dist\/(?:esm|cjs)\/[a-z]+)\/.*$/, "$1")));
  const expected = ["esm", "cjs"].flatMap((kind) =>
    ["core", "proto", "runtime", "sdk"].map((part) => `dist/${kind}/${part}`),
  );
  expect([...places].sort()).toEqual(
    ["LICENSE", "README.md", "dist/cjs/package.json", "package.json", ...expected].sort(),
  );
});

test("the product's package holds no source, test, bench, example or key, and its command and SDK work", async () => {
  const product = pack(".");
  const wrong = product.files.filter(
    ({ path }) =>
      !/^(dist\/(chunks|cli|control-plane|core|data-plane|proto|runtime)\/.*\.js|dist\/cli\/.*|sdk\/dist\/.*\.(js|d\.ts|json)|console\/dist\/[\w.-]+\.(js|css|svg|html|woff2)|proto\/ashlar\/v1\/[a-z]+\.proto|docs\/.*|README\.md|CHANGELOG\.md|LICENSE|package\.json)$/.test(
        path,
      ),
  );
  expect(wrong).toEqual([]);
  const place = join(folder, "product/node_modules/ashlar");
  unpack(product, place);
  symlinkSync(join(root, "node_modules"), join(place, "node_modules"));
  const { stdout } = await run(process.execPath, [join(place, "dist/cli/main.js"), "--help"]);
  expect(stdout).toContain("ashlar");
  const uses = join(folder, "product/use.mjs");
  writeFileSync(uses, 'import { join } from "ashlar/sdk";\nconsole.log(typeof join);\n');
  expect((await run(process.execPath, [uses])).stdout).toBe("function\n");
});
