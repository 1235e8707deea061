import { describe, expect, test } from "@jest/globals";
import {
  controlPlaneInfo,
  natsServerInfo,
  proxyConvergence,
  proxyInfo,
  serviceInfo,
  signingKeyInfo,
} from "../../console/api/messages.js";
import { buildLedger, certificateOf, filterLedger, stateOf } from "../../console/pages/proxies/ledger.js";
import {
  joinPlanes,
  problemsOfParts,
  renderAway,
  stateOfPlane,
  stateOfServer,
} from "../../console/pages/proxies/parts-of-mesh.js";

const proxies = [
  proxyInfo({ id: "b1", service: "payments", version: "v2", active: true, live: true, epoch: 4 }),
  proxyInfo({ id: "a1", service: "checkout", version: "v1", live: true, epoch: 3 }),
];
const convergence = [
  proxyConvergence({ id: "b1", state: "converged" }),
  proxyConvergence({ id: "a1", state: "rejected", reason: "field 14 is not known" }),
  proxyConvergence({ id: "c1", service: "ledger", state: "unknown", reason: "It was never heard of." }),
];
const services = [
  serviceInfo({
    name: "payments",
    endpoints: [{ proxyId: "b1", address: "10.0.0.1:7443", healthy: false, why: "hung" }],
  }),
];
const rows = buildLedger(proxies, convergence, services);

describe("the ledger", () => {
  test("has each proxy once, sorted by service, also those that were never heard of", () => {
    expect(rows.map(({ id, service }) => `${service} ${id}`)).toEqual(["checkout a1", "ledger c1", "payments b1"]);
    expect(rows.find(({ id }) => id === "c1")?.proxy).toBeUndefined();
  });

  test("says who is behind and why", () => {
    expect(rows.map(({ state }) => [state.word, state.behind, state.why])).toEqual([
      ["rejected it", true, "field 14 is not known"],
      ["never heard of", true, "It was never heard of."],
      ["up to date", false, ""],
    ]);
  });

  test("a revoked proxy is not behind: nothing is expected of it", () => {
    const revoked = proxyInfo({ id: "b1", revokedMs: 5, revokedReason: "lost" });
    expect(stateOf(revoked, convergence[1])).toEqual({ word: "revoked", tone: "bad", why: "lost", behind: false });
  });

  test("without word of its convergence a proxy counts by its own", () => {
    expect(stateOf(proxies[0], undefined).behind).toBe(false);
    expect(stateOf(proxies[1], undefined).behind).toBe(true);
  });

  test("is searched by every word, in what is shown", () => {
    const found = (search: string) => filterLedger(rows, { search, behindOnly: false }).map(({ id }) => id);
    expect(found("PAYMENTS v2")).toEqual(["b1"]);
    expect(found("10.0.0.1")).toEqual(["b1"]);
    expect(found("field 14")).toEqual(["a1"]);
    expect(found("payments checkout")).toEqual([]);
  });

  test("what needs a look is behind, or takes no calls", () => {
    expect(filterLedger(rows, { search: "", behindOnly: true }).map(({ id }) => id)).toEqual(["a1", "c1", "b1"]);
    const well = buildLedger(proxies, convergence, []);
    expect(filterLedger(well, { search: "", behindOnly: true }).map(({ id }) => id)).toEqual(["a1", "c1"]);
  });
});

test("a certificate is fine while more than half of its day is left", () => {
  const hour = 3_600_000;
  expect(certificateOf(23 * hour, 0)).toEqual({ leftMs: 23 * hour, share: 23 / 24, tone: "ok" });
  expect(certificateOf(11 * hour, 0).tone).toBe("warn");
  expect(certificateOf(hour, 0).tone).toBe("bad");
  expect(certificateOf(0, hour)).toEqual({ leftMs: -hour, share: 0, tone: "bad" });
});

test("problems stand beside the part that they are about", () => {
  const problem = (code: string, subject = "") => ({ code, message: code, subject });
  const { nats, controlPlane } = problemsOfParts([
    problem("nats-away"),
    problem("nats-server-silent", "b:4222"),
    problem("clock"),
    problem("clock", "proxy-1"),
    problem("proxy-behind", "proxy-2"),
    problem("issuer"),
  ]);
  expect(nats.map(({ code }) => code)).toEqual(["nats-away", "nats-server-silent"]);
  expect(controlPlane.map(({ code }) => code)).toEqual(["clock", "issuer"]);
});

describe("control planes and NATS", () => {
  const planes = joinPlanes(
    [controlPlaneInfo({ name: "first", self: true }), controlPlaneInfo({ name: "second", silent: true })],
    [signingKeyInfo({ kid: "k", holder: "first" }), signingKeyInfo({ kid: "l", holder: "third" })],
  );

  test("each is there once, with its keys", () => {
    expect(planes.map(({ name, keys }) => `${name} ${keys.map(({ kid }) => kid)}`)).toEqual([
      "first k",
      "second ",
      "third l",
    ]);
  });

  test("say who is there, and not of others what nobody can know", () => {
    expect(planes.map((plane) => stateOfPlane(plane, true).word)).toEqual(["answers you", "silent", "trusted"]);
    const there = { name: "x", info: controlPlaneInfo({ name: "x" }), keys: [] };
    expect([stateOfPlane(there, true).word, stateOfPlane(there, false).word]).toEqual(["there", "not known"]);
    const words = [{ connected: true }, { name: "n" }, {}].map((one) => stateOfServer(natsServerInfo(one)).word);
    expect(words).toEqual(["connected", "there", "does not answer"]);
  });

  test("servers that do not answer are told, though the mesh has no problem yet", () => {
    const [there, gone] = [natsServerInfo({ name: "n" }), natsServerInfo({})];
    expect(renderAway([there])).toBe("");
    expect(renderAway([there, gone])).toBe("1 of 2 servers does not answer the control plane that answers you.");
    expect(renderAway([gone, gone])).toMatch(/^2 of 2 servers do not/);
  });

  test("a control plane that says nothing is a problem of control planes", () => {
    const silent = { code: "control-plane-silent", message: "second says nothing", subject: "second" };
    expect(problemsOfParts([silent]).controlPlane).toEqual([silent]);
  });
});
