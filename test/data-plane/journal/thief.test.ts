/** Who has a proxy's credential can take message ids before the writes that they are for. */
import { Metadata, status } from "@grpc/grpc-js";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { parseJournalSubject } from "../../../core/wire/subjects.js";
import type { AppendOptions, Bus } from "../../../runtime/bus.js";
import { JournalNats } from "../../support/journal-nats.js";
import { buildPolicy, everyone } from "../../support/proxy-fakes.js";
import { ProxyPair } from "../../support/proxy-pair.js";

const journal = {
  mode: "before",
  response: "bytes",
  idempotencyKey: 'request.headers["k"]',
  orderBy: undefined,
} as const;

let nats: JournalNats;
let pair: ProxyPair;
let applied: string[];

beforeEach(async () => {
  nats = await JournalNats.start("bytes");
  applied = [];
  pair = await ProxyPair.start({
    Unary: (call, done) => {
      applied.push(call.request.toString());
      done(null, Buffer.from(`applied ${call.request}`));
    },
  });
  pair.callee.policy.switchTo(buildPolicy(2, [{ service: "bytes", allow: [everyone], journal }]));
});

afterEach(async () => {
  pair.stop();
  await nats.stop();
});

/** A bus on which a thief stores something under the message id of each append of this kind first, `times` times. */
function robbed(
  kind: "entry" | "outcome",
  times: number,
  steal: (subject: string, data: Uint8Array, options: AppendOptions) => Promise<unknown>,
): Pick<Bus, "append" | "directGet"> {
  let left = times;
  return {
    directGet: (stream, query) => nats.bus.directGet(stream, query),
    append: async (subject, data, options = {}) => {
      if (parseJournalSubject(subject)?.kind === kind && left-- > 0) await steal(subject, data, options);
      return nats.bus.append(subject, data, options);
    },
  };
}

const onlyId = ({ headers = {} }: AppendOptions): AppendOptions => ({
  headers: { "Nats-Msg-Id": headers["Nats-Msg-Id"] ?? "" },
});
const pay = (key: string, text: string) => {
  const metadata = new Metadata();
  metadata.set("k", key);
  return pair.client().unary(Buffer.from(text), metadata);
};

/** The write is applied once, and any proxy answers its repeat. */
async function isAppliedOnce(text: string): Promise<void> {
  for (const proxy of ["p1", "p2"]) {
    if (proxy === "p2") pair.callee.journal = nats.open(pair.callee.policy, proxy);
    const { error, response } = await pay("k1", text);
    expect([error, response?.toString()]).toEqual([undefined, `applied ${text}`]);
  }
  expect(applied.filter((each) => each === text)).toEqual([text]);
}

test("ids of a key that hold no records are passed over, by every proxy alike", async () => {
  const bus = robbed("entry", 2, (subject, _data, options) =>
    nats.bus.append(subject, Buffer.from("garbage"), onlyId(options)),
  );
  pair.callee.journal = nats.open(pair.callee.policy, "p1", bus);
  await isAppliedOnce("pay 7");
});

test("a copy of another key's entry under a key's id is not that key's", async () => {
  pair.callee.journal = nats.open(pair.callee.policy, "p1");
  await pay("other", "pay 1");
  const [other] = await nats.stored();
  if (other === undefined) throw new Error("it was appended");
  const statement = other.header("Ashlar-Statement") ?? "";
  const bus = robbed("entry", 1, (_subject, _data, { headers = {} }) => {
    const own = Object.entries(headers).filter(([name]) => name !== "Nats-Msg-Id");
    const names = own.map(([name]) => [name, other.header(name) ?? statement]);
    const stolen = { "Nats-Msg-Id": headers["Nats-Msg-Id"] ?? "", ...Object.fromEntries(names) };
    return nats.bus.append(other.subject, other.data, { headers: stolen });
  });
  pair.callee.journal = nats.open(pair.callee.policy, "p1", bus);
  await isAppliedOnce("pay 2");
});

test("what says that it is the key's entry, and nobody signed, is named: 14, and the application is not called", async () => {
  const bus = robbed("entry", 1, (subject, data, options) => nats.bus.append(subject, data, onlyId(options)));
  pair.callee.journal = nats.open(pair.callee.policy, "p1", bus);
  for (let time = 0; time < 2; time += 1) {
    const { error } = await pay("k1", "pay 7");
    expect(error).toMatchObject({ code: status.UNAVAILABLE });
    expect(error?.details).toMatch(/^sequence 1 of the journal has the message id of this idempotency key/);
  }
  expect(applied).toEqual([]);
});

test("an outcome whose id was taken is stored all the same", async () => {
  const bus = robbed("outcome", 2, (subject, _data, options) =>
    nats.bus.append(subject, Buffer.from("garbage"), onlyId(options)),
  );
  pair.callee.journal = nats.open(pair.callee.policy, "p1", bus);
  await isAppliedOnce("pay 7");
});

test("the id of an outcome does not follow from its entry", async () => {
  pair.callee.journal = nats.open(pair.callee.policy, "p1");
  for (let entry = 1; entry < 10; entry += 1)
    await nats.bus.append(`ashlar.journal.bytes.outcome.u`, Buffer.from("garbage"), {
      headers: { "Nats-Msg-Id": `o${entry}` },
    });
  await isAppliedOnce("pay 7");
});
