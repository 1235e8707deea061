import { describe, expect, test } from "@jest/globals";
import { gateLimits } from "../../control-plane/listeners.js";
import { ConnectionGate, type GatedConnection, networkOf } from "../../runtime/connection-gate.js";

const limits = { strangersMax: 6, strangersOfAddressMax: 4, knownMax: 3, knownOfOneMax: 2, strangerMsMax: 1000 };

function world() {
  const clock = { nowMs: 0 };
  const gate = new ConnectionGate(limits, () => clock.nowMs);
  const dropped: string[] = [];
  const admit = (name: string, address = "10.0.0.1"): GatedConnection => {
    const connection = { address, destroy: () => void dropped.push(name) };
    gate.admit(connection);
    return connection;
  };
  return { clock, gate, dropped, admit };
}

describe("the gate before a listener", () => {
  test("a network over its share loses its oldest stranger, and the newcomer gets in", () => {
    const { gate, dropped, admit } = world();
    for (const name of ["a1", "a2", "a3", "a4", "a5"]) admit(name);
    expect(dropped).toEqual(["a1"]);
    expect(gate.counts).toEqual({ strangers: 4, known: 0, dropped: 1 });
  });

  test("a full house makes room at the cost of the network that has most", () => {
    const { dropped, admit } = world();
    admit("honest", "10.0.0.9");
    for (const name of ["a1", "a2", "a3", "a4"]) admit(name);
    admit("b1", "10.0.0.2");
    admit("c1", "10.0.0.3");
    expect(dropped).toEqual(["a1"]);
  });

  test("who is known is dropped for no stranger, also from the address that is over its share", () => {
    const { gate, dropped, admit } = world();
    const operator = admit("operator");
    expect(gate.prove(operator, "ann")).toBe(true);
    for (let n = 1; n <= 50; n += 1) admit(`a${n}`);
    expect(dropped).not.toContain("operator");
    gate.sweep();
    expect(gate.counts.known).toBe(1);
    gate.ended(operator);
    expect(gate.counts.known).toBe(0);
  });

  test("the known have a bound too, and the one too many is dropped", () => {
    const { gate, dropped, admit } = world();
    const proved = ["o1", "o2", "o3", "o4"].map((name) => gate.prove(admit(name), name));
    expect(proved).toEqual([true, true, true, false]);
    expect(dropped).toEqual(["o4"]);
  });

  test("one certificate takes no place of another operator's, and what it gives back is free again", () => {
    const { gate, dropped, admit } = world();
    const [first] = ["t1", "t2", "t3", "t4"].map((name) => {
      const connection = admit(name);
      gate.prove(connection, "stolen");
      return connection;
    });
    expect(dropped).toEqual(["t3", "t4"]);
    expect(gate.prove(admit("honest"), "ann")).toBe(true);
    if (first !== undefined) gate.ended(first);
    expect([gate.prove(admit("t5"), "stolen"), gate.prove(admit("t6"), "stolen")]).toEqual([true, false]);
  });

  test("a stranger's time ends", () => {
    const { clock, gate, dropped, admit } = world();
    admit("a1");
    clock.nowMs = 999;
    admit("a2");
    gate.sweep();
    expect(dropped).toEqual([]);
    clock.nowMs = 1000;
    gate.sweep();
    expect(dropped).toEqual(["a1"]);
    gate.close();
    expect(dropped).toEqual(["a1", "a2"]);
  });

  for (const [address, network] of [
    ["10.1.2.3", "10.1.2.3"],
    ["::ffff:10.1.2.3", "10.1.2.3"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2"],
    ["2001:db8::1", "2001:db8:0:0"],
    ["::1", "0:0:0:0"],
  ] as const) {
    test(`${address} is of ${network}`, () => expect(networkOf(address)).toBe(network));
  }
});

test("what the listeners may take fits the descriptors, and join leaves the operator's alone", () => {
  for (const descriptors of [150, 400, 1000, 100_000]) {
    const { admin, join, console } = gateLimits(descriptors);
    const all = [admin, join, console].reduce((sum, { strangersMax, knownMax }) => sum + strangersMax + knownMax, 0);
    expect(all).toBeLessThanOrEqual(descriptors);
    expect(join.strangersOfAddressMax).toBeLessThan(join.strangersMax);
  }
  expect(gateLimits(100_000).join).toMatchObject({ strangersMax: 512, strangersOfAddressMax: 384 });
});
