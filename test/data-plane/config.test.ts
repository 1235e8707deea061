import { describe, expect, test } from "@jest/globals";
import { parseProxyConfig } from "../../data-plane/config.js";

const good = { service: "payments", join: "join.json", inbound: "127.0.0.1:0" };
const parse = (flags: Record<string, unknown>, env: Record<string, string> = {}, file: Record<string, unknown> = {}) =>
  parseProxyConfig({ flags, env: { HOME: "/home/me", ...env }, file }, "/cwd");
const problemsOf = (flags: Record<string, unknown>): string[] => {
  try {
    parse(flags);
  } catch (error) {
    return String((error as Error).message).split("\n");
  }
  return [];
};

describe("settings of a proxy", () => {
  test("data and sockets have defaults in the user's state folder", () => {
    const config = parse({ ...good, agent: true });
    expect(config.dataDir).toBe("/home/me/.local/state/ashlar/proxy/payments");
    expect(config.outbound).toEqual({ path: `${config.dataDir}/run/outbound.sock` });
    expect(config.agent).toBe(`${config.dataDir}/run/agent.sock`);
    expect(config.bypassable).toEqual([]);
  });

  test("header fields and keepalive have bounds; a variable is as good as a flag", () => {
    expect([parse(good).headerBytesMax, parse(good).keepaliveMs]).toEqual([65_536, undefined]);
    const set = parse({ ...good, keepalive: "0" }, { ASHLAR_HEADER_KIB: "256" });
    expect([set.headerBytesMax, set.keepaliveMs]).toEqual([262_144, 0]);
    expect(parse({ ...good, keepalive: "1m" }).keepaliveMs).toBe(60_000);
    expect(parse({ ...good, headerKib: "128KiB", bufferMib: "1GiB", messageMib: "8" })).toMatchObject({
      headerBytesMax: 131_072,
      bufferBytesMax: 1_073_741_824,
      messageBytesMax: 8_388_608,
    });
    for (const headerKib of ["7", "2000", "2MiB", "1GB"])
      expect(problemsOf({ ...good, headerKib })[0]).toMatch(
        /--header-kib: expected a size such as 64KiB, from 8KiB to 1024KiB/,
      );
    expect(problemsOf({ ...good, keepalive: "10s" })[0]).toMatch(
      /--keepalive: expected 0, for never, or more than 10s/,
    );
  });

  test("a flag wins over a variable, and a variable over the file", () => {
    const file = { service: "of-file", join: "of-file.json", data: "of-file" };
    const config = parse({ data: "of-flag" }, { ASHLAR_DATA: "of-env", ASHLAR_JOIN: "of-env.json" }, file);
    expect([config.dataDir, config.join, config.service]).toEqual(["/cwd/of-flag", "of-env.json", "of-file"]);
  });

  test("loopback TCP ports are taken and shown as bypassable", () => {
    const config = parse({
      ...good,
      app: "127.0.0.1:80",
      outbound: "localhost:81",
      upstream: ["a=[::1]:82", "b=unix:/b"],
    });
    expect(config.bypassable).toEqual(["app tcp 127.0.0.1:80", "outbound tcp localhost:81", "upstream a tcp ::1:82"]);
  });

  test("every bad value is reported at once", () => {
    const problems = problemsOf({
      service: "Bad_Name",
      app: "10.0.0.1:80",
      agent: "127.0.0.1:1",
      inbound: "x",
      outbound: "0.0.0.0:1",
      upstream: ["x", "a=8.8.8.8:1"],
      label: ["a=b", "a=c", "d"],
      grace: "soon",
      workers: "0",
    });
    for (const flag of [
      "service",
      "join",
      "app",
      "agent",
      "inbound",
      "outbound",
      "upstream",
      "label",
      "grace",
      "workers",
    ]) {
      expect(problems.filter((line) => line.startsWith(`--${flag}`)).length).toBeGreaterThan(0);
    }
  });

  for (const [name, flags, expected] of [
    ["an application without an inbound address", { service: "a", join: "j", app: "unix:/a" }, "--inbound is missing"],
    ["an address nobody can dial", { ...good, inbound: "0.0.0.0:1" }, "--advertise is missing"],
    ["more workers than 64", { ...good, workers: "65" }, "--workers"],
    ["no worker", { ...good, workers: "0" }, "--workers"],
    ["a data folder too deep for a socket", { ...good, data: `/${"d".repeat(100)}` }, "--outbound: the default"],
  ] as const) {
    test(`${name} is refused`, () => expect(problemsOf(flags).join()).toContain(expected));
  }

  test("a proxy that only carries outbound calls needs no inbound address", () => {
    expect(parse({ service: "cron", join: "j" }).inbound).toBeUndefined();
  });
});
