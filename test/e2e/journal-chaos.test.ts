/**
 * Writes through journals while proxies, NATS and applications are killed at any moment, by clients that repeat what was not
 * answered: mode before, one by one and streamed; mode after likewise; and calls that go both ways. `npm run chaos` kills 200 times.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { type Told, talk, writeOne, writeStream } from "../support/chaos-calls.js";
import { EchoClient } from "../support/echo-client.js";
import { TestMesh, type TestProxy } from "../support/mesh.js";
import type { TestProcess } from "../support/processes.js";
import { until } from "../support/until.js";

const kills = Number(process.env.CHAOS_KILLS ?? "7");
/** The deadline of each call. */
const deadlineMs = 15_000;
const services = ["before", "after", "talks"] as const;
type Service = (typeof services)[number];

const fields: Readonly<Record<Service, string>> = {
  before: `methods: [test.Echo/Unary, test.Echo/ClientStream]
mode: before
idempotencyKey: request.headers["idempotency-key"]
orderBy: request.headers["x-account"]
streamMax: 1MiB
`,
  after: `methods: [test.Echo/Unary, test.Echo/ClientStream]
mode: after
streamMax: 1MiB
`,
  talks: `methods: [test.Echo/Bidi]
mode: before
bidirectional: [test.Echo/Bidi]
streamMax: 1MiB
`,
};

const policyOf = (service: Service): string => `---
kind: Service
name: ${service}
---
kind: Authorization
name: front-calls-${service}
service: ${service}
allow:
  - from: [front]
    methods: ["test.Echo/*"]
---
kind: Journal
name: ${service}-writes
service: ${service}
response: bytes
${fields[service]}`;

interface Write {
  readonly key: string;
  /** What its client was told at last. */
  readonly end: "applied" | "unknown";
  readonly sequence: number;
}

/** A line of `ashlar journal list -o json`. */
interface Listed {
  readonly sequence: number;
  readonly valid: boolean;
  readonly key: string;
  readonly order: string;
  readonly outcome: { readonly code: number } | null;
}

interface Member {
  readonly proxy: TestProxy;
  app: TestProcess;
  readonly client: EchoClient;
  /** What its clients were told, in this order. */
  readonly ended: Write[];
}

let mesh: TestMesh;
const members = new Map<Service, Member>();
let isOver = false;

const of = (service: Service): Member => {
  const member = members.get(service);
  if (member === undefined) throw new Error(`${service} was not started`);
  return member;
};
const appliedPath = (service: Service): string => join(mesh.dir, `applied-${service}`);
/** What the application wrote down: sequence, key and text of each write; of a call both ways, each message's text. */
const appliedOf = (service: Service): readonly (readonly [string, string, string])[] =>
  readFileSync(appliedPath(service), "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => line.split(" ") as [string, string, string]);
const startApp = (service: Service, proxy: TestProxy): Promise<TestProcess> =>
  mesh.app(proxy, service, "v1", "--applied", appliedPath(service));

beforeAll(async () => {
  mesh = await TestMesh.start();
  const front = await mesh.proxy({ name: "front", service: "front" });
  await Promise.all(
    services.map(async (service) => {
      const proxy = await mesh.proxy({ name: service, service });
      const app = await startApp(service, proxy);
      members.set(service, { proxy, app, client: new EchoClient(front.outbound, service), ended: [] });
    }),
  );
  await mesh.apply(["kind: Service\nname: front\n", ...services.map(policyOf)].join(""));
  for (const service of services) await mesh.healthy(service, 1);
}, 180_000);

afterAll(async () => {
  isOver = true;
  for (const { client } of members.values()) client.close();
  await mesh?.stop();
}, 60_000);

/** The server of the private NATS, a child of the control plane. */
function natsPid(): number | undefined {
  const { pid } = mesh.up;
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").map(Number);
  return children.find((child) => /nats-server/.test(commandOf(child)));
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8");
  } catch {
    return ""; // it has just ended
  }
}

const killProxy = (service: Service) => async (): Promise<void> => {
  const { proxy } = of(service);
  await proxy.process.stop("SIGKILL");
  await proxy.start().said("ready", 120_000);
};
const killApp = (service: Service) => async (): Promise<void> => {
  const member = of(service);
  await member.app.stop("SIGKILL");
  member.app = await startApp(service, member.proxy);
};
async function killNats(): Promise<void> {
  const pid = natsPid();
  if (pid !== undefined) process.kill(pid, "SIGKILL");
  await until("NATS is there again", () => natsPid() !== undefined && natsPid() !== pid, 60_000);
}

const killing: readonly (() => Promise<void>)[] = [
  ...[killProxy("before"), killApp("after"), killNats, killProxy("talks"), killApp("before"), killProxy("after")],
  killApp("talks"),
];

const textsOf = (key: string): readonly string[] => [1, 2, 3].map((part) => `${key}/${part}`);

/** Writes one after the other, each until it is told an end; what is unknown blocks its account, so the next has another. */
async function writeOn(writer: number): Promise<void> {
  const { client, ended } = of("before");
  for (let [count, account] = [1, 0]; !isOver; count += 1) {
    const key = `w${writer}-${count}`;
    while (!isOver) {
      const call = { key, account: `${writer}-${account}`, deadlineMs };
      const isStream = (count + writer) % 2 === 0;
      const told = isStream ? await writeStream(client, textsOf(key), call) : await writeOne(client, key, call);
      const end = told.code === 0 ? "applied" : /^outcome unknown/.test(told.details) ? "unknown" : undefined;
      if (end === undefined) continue;
      ended.push({ key, end, sequence: told.sequence });
      if (end === "unknown") account += 1;
      break;
    }
  }
}

/** Writes without keys again and again: what is not acknowledged is not said again. */
async function tryOn(service: "after" | "talks", writer: number): Promise<void> {
  const { client, ended } = of(service);
  const asked = (key: string, count: number): Promise<Told> => {
    if (service === "talks") return talk(client, textsOf(key), deadlineMs);
    const call = { key, deadlineMs };
    return count % 2 === 0 ? writeStream(client, textsOf(key), call) : writeOne(client, key, call);
  };
  for (let count = 1; !isOver; count += 1) {
    const key = `w${writer}-${count}`;
    const { code, sequence } = await asked(key, count);
    if (code === 0) ended.push({ key, end: "applied", sequence });
  }
}

/** The valid entries of a journal by their sequence, of a long one the newest: those from `from` on. */
async function entriesOf(service: Service): Promise<{ valid: ReadonlyMap<number, Listed>; from: number }> {
  const limit = 10_000;
  const all: Listed[] = await mesh.json(0, "journal", "list", "--service", service, "--limit", String(limit));
  const valid = new Map(all.filter((each) => each.valid).map((each) => [each.sequence, each]));
  return { valid, from: all.length < limit ? 0 : (all[0]?.sequence ?? 0) };
}

/** What a write's text is: of a streamed one, those of all its messages. */
const isTextOf = (key: string, text: string): boolean => text === key || text === textsOf(key).join("+");

/** Each record of a journal that is an entry or has messages, and the texts in its bytes. */
async function recordsOf(
  service: Service,
): Promise<readonly { readonly kind: string; readonly texts: readonly string[] }[]> {
  const file = join(mesh.dir, `${service}.jsonl`);
  expect((await mesh.cli("journal", "export", "--service", service, "--output-file", file)).code).toBe(0);
  const lines = readFileSync(file, "utf8").trimEnd().split("\n").slice(1);
  return lines.map((line) => {
    const { kind, data } = JSON.parse(line) as { kind: string; data: string };
    return {
      kind,
      texts:
        Buffer.from(data, "base64")
          .toString("latin1")
          .match(/w\d+-\d+(\/\d)?/g) ?? [],
    };
  });
}

async function checkBefore(): Promise<void> {
  const { valid, from } = await entriesOf("before");
  const given = appliedOf("before").filter(([sequence]) => Number(sequence) >= from);
  // no void write reached the application, none came twice, and none under another key's entry
  expect(new Set(given.map(([sequence]) => sequence)).size).toBe(given.length);
  expect(new Set(given.map(([, key]) => key)).size).toBe(given.length);
  for (const [sequence, key, text] of given)
    expect([sequence, valid.get(Number(sequence))?.key, isTextOf(key, text)]).toEqual([sequence, key, true]);
  const known = new Set(given.map(([, key]) => key));
  for (const { key, end, sequence } of of("before").ended) {
    if (sequence < from) continue;
    expect(valid.get(sequence)?.key).toBe(key);
    if (end === "applied") expect([key, valid.get(sequence)?.outcome?.code, known.has(key)]).toEqual([key, 0, true]);
  }
  // each account's writes were applied in their order
  const last = new Map<string, number>();
  for (const [sequence] of given) {
    const order = valid.get(Number(sequence))?.order ?? "";
    expect(Number(sequence)).toBeGreaterThan(last.get(order) ?? 0);
    last.set(order, Number(sequence));
  }
}

/** What was acknowledged without a key is in the journal once, at the place that its caller was told. */
async function checkAcknowledged(service: Service): Promise<void> {
  const { valid, from } = await entriesOf(service);
  const ended = of(service).ended.filter(({ sequence }) => sequence >= from);
  expect(new Set(ended.map(({ sequence }) => sequence)).size).toBe(ended.length);
  for (const { key, sequence } of ended) expect([key, valid.get(sequence)?.outcome?.code]).toEqual([key, 0]);
}

/** In mode after a write may be applied whose append failed, and its caller is told so; no entry is of what was not applied. */
async function checkAfter(): Promise<void> {
  await checkAcknowledged("after");
  const applied = new Set(appliedOf("after").map(([, , text]) => text));
  const isApplied = (key: string): boolean => applied.has(key) || applied.has(textsOf(key).join("+"));
  const entered = (await recordsOf("after")).filter(({ kind }) => kind === "entry").flatMap(({ texts }) => texts);
  const keys = new Set(entered.map((text) => text.split("/")[0] ?? ""));
  expect([...keys].filter((key) => !isApplied(key))).toEqual([]);
  for (const { key } of of("after").ended) expect([key, keys.has(key)]).toEqual([key, true]);
}

/** Each talk that ended is one write, and what the application heard of any talk is in the journal. */
async function checkTalks(): Promise<void> {
  await checkAcknowledged("talks");
  const heard = appliedOf("talks").map(([, , text]) => text);
  expect(new Set(heard).size).toBe(heard.length);
  const kept = new Set((await recordsOf("talks")).flatMap(({ kind, texts }) => (kind === "messages" ? texts : [])));
  expect(heard.filter((text) => !kept.has(text))).toEqual([]);
  const all = new Set(heard);
  for (const { key } of of("talks").ended) expect(textsOf(key).every((text) => all.has(text))).toBe(true);
}

test(
  `each mode keeps what it promises, after ${kills} kills`,
  async () => {
    const writers = [1, 2].flatMap((each) => [writeOn(each), tryOn("after", each), tryOn("talks", each)]);
    const counts = (): readonly number[] => services.map((service) => of(service).ended.length);
    for (let kill = 0; kill < kills; kill += 1) {
      const before = counts();
      await killing[kill % killing.length]?.();
      const goOn = (): boolean => counts().every((count, index) => count >= (before[index] ?? 0) + 3);
      await until("writes go on", goOn, 180_000, () => JSON.stringify([before, counts()]));
    }
    isOver = true;
    await Promise.all(writers);
    const reachesNats = async (): Promise<boolean> =>
      (await mesh.cli("journal", "list", "--service", "before")).code === 0;
    await until("the control plane reaches NATS", reachesNats, 120_000);
    for (const service of services)
      expect(await mesh.json(0, "journal", "verify", "--service", service)).toMatchObject({ ok: true, faults: [] });
    await checkBefore();
    await checkAfter();
    await checkTalks();
    const applied = services.map((service) => of(service).ended.filter(({ end }) => end === "applied").length);
    if (process.env.CHAOS_KILLS !== undefined)
      console.log(`acknowledged: ${services.map((name, at) => `${name} ${applied[at]}`)}`);
    for (const count of applied) expect(count).toBeGreaterThan(kills);
  },
  kills * 90_000 + 180_000,
);
