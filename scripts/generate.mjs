// Generates proto/gen from proto/ with buf and ts-proto, if it is not what the sources say. descriptors.ts holds the same
// files as descriptors, from which the console reads and writes JSON.
// --check only tells: exit 1 when the generated code is stale.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";

const root = resolve(import.meta.dirname, "..");
const stampPath = join(root, "proto/gen/.stamp");
const sources = readdirSync(join(root, "proto/ashlar/v1"))
  .filter((name) => name.endsWith(".proto"))
  .sort()
  .map((name) => join(root, "proto/ashlar/v1", name));

const hash = createHash("sha256");
for (const path of [
  import.meta.filename,
  join(root, "buf.gen.yaml"),
  join(root, "node_modules/ts-proto/package.json"),
  ...sources,
]) {
  hash.update(readFileSync(path));
}
const stamp = hash.digest("hex");
const fresh = existsSync(stampPath) && readFileSync(stampPath, "utf8") === stamp;

if (process.argv.includes("--check")) {
  if (!fresh) console.error("proto/gen is not what proto/ says: run npm run generate");
  process.exit(fresh ? 0 : 1);
}
const buf = (...words) =>
  execFileSync(process.execPath, [join(root, "node_modules/@bufbuild/buf/bin/buf"), ...words], {
    cwd: root,
    stdio: ["ignore", "pipe", "inherit"],
  });
if (!fresh) {
  buf("generate");
  const descriptors = buf("build", "--exclude-source-info", "--as-file-descriptor-set", "-o", "-#format=binpb");
  const text = `/** A google.protobuf.FileDescriptorSet of all files, in base64. */\nexport const descriptorSet =\n  "${descriptors.toString("base64")}";\n`;
  writeFileSync(join(root, "proto/gen/descriptors.ts"), text);
  writeFileSync(stampPath, stamp);
}
