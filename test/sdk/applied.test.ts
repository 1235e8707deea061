/** What an application says of what it has applied, and what a proxy hears that was away. */
import { credentials, Server, ServerCredentials } from "@grpc/grpc-js";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { systemClock } from "../../runtime/clock.js";
import { AppliedReport } from "../../sdk/applied-report.js";
import { enterMesh, type Mesh } from "../../sdk/mesh.js";
import { until } from "../support/until.js";
import { createFakeAgent, type FakeAgent } from "./fake-agent.js";

let agent: FakeAgent;
let mesh: Mesh | undefined;

beforeEach(async () => {
  agent = await createFakeAgent("ledger");
  await agent.start();
});

afterEach(async () => {
  await mesh?.leave({ timeoutMs: 100 });
  await agent.remove();
});

test("it is said once a turn, and all of it again to a proxy that was away", async () => {
  const grpc = { credentials, ServerCredentials };
  mesh = await enterMesh(systemClock, { service: "ledger", agent: agent.target, timeoutMs: 5000, grpc });
  expect(() => mesh?.applied({ position: 1 })).toThrow("does not serve");
  await mesh.serve(new Server());
  for (const sequence of [3, 5, 4]) mesh.applied({ position: sequence + 3, sequence });
  await until("it was heard", async () => agent.applied.length > 0);
  expect(agent.applied).toEqual([{ position: 8, sequences: [3, 5, 4] }]);
  mesh.applied({ position: 7 });
  await until("it was heard again", async () => agent.applied.length > 1);
  expect(agent.applied[1]).toEqual({ position: 8, sequences: [] });

  agent.stop();
  mesh.applied({ sequence: 9 });
  await agent.start();
  await until("the proxy that came back heard it", async () => agent.applied.length > 2, 20_000);
  expect(agent.applied[2]).toEqual({ position: 8, sequences: [3, 5, 4, 9] });
});

test.each([{ position: -1 }, { sequence: 1.5 }, { position: Number.NaN }])("%j is refused", async (what) => {
  const grpc = { credentials, ServerCredentials };
  mesh = await enterMesh(systemClock, { service: "ledger", agent: agent.target, timeoutMs: 5000, grpc });
  await mesh.serve(new Server());
  expect(() => mesh?.applied(what)).toThrow(/is a whole number, 0 or more/);
});

test("many sequences go in messages that an agent takes, and the last of them are kept", () => {
  const report = new AppliedReport();
  expect(report.take(true)).toEqual([]);
  for (let sequence = 1; sequence <= 2500; sequence++) report.add(0, sequence);
  expect(report.take(false).map(({ sequences }) => sequences.length)).toEqual([1000, 1000, 500]);
  const again = report.take(true);
  expect(again.map(({ sequences }) => sequences.length)).toEqual([1000, 1000, 500]);
  for (let sequence = 2501; sequence <= 200_000; sequence++) report.add(0, sequence);
  const all = report.take(true).flatMap(({ sequences }) => sequences);
  expect([all.length, all[0], all.at(-1)]).toEqual([65_536, 200_000 - 65_535, 200_000]);
});
