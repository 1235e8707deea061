import { generateKeyPairSync } from "node:crypto";
import { digestOf } from "../../core/digest.js";
import { buildSpiffeId } from "../../core/identity.js";
import type { PolicyFile, SnapshotList } from "../../core/model.js";
import { createSigner } from "../../core/signature.js";
import { buildSnapshot } from "../../core/snapshot/build.js";
import { checkPolicy } from "../../core/snapshot/check.js";
import { FileMemory, parsePolicyFiles } from "../../core/snapshot/parse-files.js";
import { signRevision } from "../../core/wire/records.js";
import { changesBetween, encodeSnapshotList } from "../../core/wire/units.js";
import { numberFlag, readFlags } from "../options.js";

const flags = readFlags(process.argv.slice(2), {
  text: `npm run bench:snapshot -- [--services 10000] [--rounds 7]
What a control plane does with the files of a large mesh after one of them changed, up to the signed revision: parse,
check, cut into units, encode, list, sign; nothing is stored.`,
  example: "npm run bench:snapshot -- --services 1000",
});
const count = numberFlag(flags, "services", 10_000);
const rounds = numberFlag(flags, "rounds", 7);
const mesh = "bench";
const signer = createSigner(generateKeyPairSync("ed25519").privateKey);

function fileOf(index: number, round: number): PolicyFile {
  const callers = [1, 7, 31].map((step) => `service-${(index + step + round) % count}`).join(", ");
  const content = `kind: Service
name: service-${index}
methods: [bench.Service${index}/Read, bench.Service${index}/Write]
---
kind: Authorization
name: access-${index}
service: service-${index}
allow:
  - from: [${callers}]
    methods: [bench.Service${index}/Read]
`;
  return { name: `service-${index}.yaml`, content };
}

interface Laps {
  readonly parse: number;
  readonly check: number;
  readonly build: number;
}

const memory = new FileMemory();
let list: SnapshotList = encodeSnapshotList([]);

function publish(files: readonly PolicyFile[], number: number): Laps {
  const at = [performance.now()];
  const { objects, findings } = parsePolicyFiles(files, memory);
  at.push(performance.now());
  const wrong = [...findings, ...checkPolicy(objects, { mesh, knownVersions: new Map() })];
  if (wrong.length > 0) throw new Error(`the policy of the bench is wrong: ${wrong[0]?.message}`);
  at.push(performance.now());
  const snapshot = buildSnapshot(objects.map(({ object }) => object));
  const revision = {
    number,
    parent: digestOf(Buffer.from("bench")),
    snapshot: snapshot.list.digest,
    changes: changesBetween(list, snapshot.list),
    author: buildSpiffeId(mesh, "operator", "bench"),
    message: "",
    timeMs: 0,
  };
  signRevision(revision, mesh, signer);
  at.push(performance.now());
  const changed = snapshot.list.digest === list.digest ? 0 : revision.changes.length;
  if (number > 1 && changed !== 1) throw new Error(`${changed} units changed, not one`);
  list = snapshot.list;
  const [start = 0, parsed = 0, checked = 0, built = 0] = at;
  return { parse: parsed - start, check: checked - parsed, build: built - checked };
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

function print(label: string, laps: readonly Laps[]): void {
  const of = (pick: (each: Laps) => number): string => median(laps.map(pick)).toFixed(0);
  const total = of(({ parse, check, build }) => parse + check + build);
  const [parse, check, build] = [of((each) => each.parse), of((each) => each.check), of((each) => each.build)];
  console.log(`| ${label} | ${parse} | ${check} | ${build} | ${total} |`);
}

const files = Array.from({ length: count }, (_, index) => fileOf(index, 0));
console.log(`| ${count} services | parse ms | check ms | units, list, signature ms | together ms (medians) |`);
console.log("|---|---|---|---|---|");
print("all new", [publish(files, 1)]);
const laps: Laps[] = [];
for (let round = 1; round <= rounds; round++) {
  const index = (round * 997) % count;
  files[index] = fileOf(index, round);
  laps.push(publish(files, round + 1));
}
print(`one changed, ${rounds} times`, laps);
