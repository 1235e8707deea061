import { generateKeyPairSync, sign as signBytes, verify } from "node:crypto";
import { statementHeader } from "../../core/wire/statement.js";
import { heartbeatSubject } from "../../core/wire/subjects.js";
import { systemClock } from "../../runtime/clock.js";
import { messageOf, StatementPki, writerOf } from "../../test/support/statements.js";
import { readFlags } from "../options.js";

readFlags(process.argv.slice(2), {
  text: `npm run bench:statements
The CPU that it costs to sign what a proxy says of itself, to verify it, and to refuse what is forged or came before.`,
  example: "npm run bench:statements",
});

const count = 3000;
const pki = new StatementPki();
const body = Buffer.alloc(450, 7); // about a heartbeat with eight prepared revisions

/** Reports the CPU time of this process. Wall-clock time would count what other programs take. */
function report(what: string, rounds: number, act: (index: number) => void): void {
  const start = process.cpuUsage();
  for (let index = 0; index < rounds; index += 1) act(index);
  const { user, system } = process.cpuUsage(start);
  console.log(`${what.padEnd(44)} ${((user + system) / rounds).toFixed(1).padStart(8)} µs`);
}

const swallow = (act: () => unknown): void => {
  try {
    act();
  } catch {}
};

const proxies = Array.from({ length: 100 }, (_, index) => ({
  subject: heartbeatSubject("payments", `p${index}`),
  writer: writerOf(pki.issue("payments", `p${index}`)),
}));
const of = <Item>(items: readonly Item[], index: number): Item => items[index % items.length] as Item;
const sign = (index: number) => {
  const { subject, writer } = of(proxies, index);
  return messageOf(subject, body, writer.sign("heartbeat", body));
};
const messages = Array.from({ length: count }, (_, index) => sign(index));
const others = Array.from({ length: 500 }, (_, index) => ({ ...sign(index), data: Buffer.alloc(450, 8) }));
const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
const signature = signBytes("sha256", body, privateKey);
report("Node's ECDSA P-256 verify alone", count, () => void verify("sha256", body, publicKey, signature));
let nowMs = 0;
/** Every message comes in another second, so that no budget is used up. */
const clock = { ...systemClock, monotonicMs: () => (nowMs += 1000) };
const reader = pki.reader({ clock });
report("sign", count, sign);
report("judge a chain and verify (first word)", 100, (index) =>
  pki.reader({ clock }).hear("heartbeat", of(messages, index)),
);
for (const message of messages.slice(0, 100)) reader.hear("heartbeat", message);
report("verify (chain known)", count - 100, (index) => reader.hear("heartbeat", of(messages, 100 + index)));
report("refuse what is forged", others.length, (index) => swallow(() => reader.read("endpoint", of(others, index))));
report("refuse what came before", count, (index) => swallow(() => reader.hear("heartbeat", of(messages, index))));
const flooded = pki.reader();
report("refuse a flood in one name", 20_000, (index) =>
  swallow(() => flooded.read("endpoint", of(others, (index * 100) % 500))),
);
console.log(`header: ${messages[0]?.header(statementHeader)?.length ?? 0} bytes`);
