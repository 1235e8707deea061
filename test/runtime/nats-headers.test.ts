import { describe, expect, test } from "@jest/globals";
import { firstValueOf, lastValueOf, parseHeaderBlock, timesRelayed } from "../../runtime/nats-headers.js";
import { withHeaders } from "../../runtime/nats-messages.js";

const parse = (text: string) => parseHeaderBlock(new Uint8Array(Buffer.from(text, "latin1")));

describe("a header block", () => {
  test("has names and values in their order, and the code of an answer", () => {
    const block = parse("NATS/1.0\r\nA: b\r\nA:c \r\nNats-Msg-Id: x:y\r\n\r\n");
    expect(block).toEqual({
      code: 0,
      description: "",
      fields: [
        ["A", "b"],
        ["A", "c"],
        ["Nats-Msg-Id", "x:y"],
      ],
    });
    expect(block && [firstValueOf(block, "A"), lastValueOf(block, "A")]).toEqual(["b", "c"]);
    expect(block && [firstValueOf(block, "B"), lastValueOf(block, "B")]).toEqual([undefined, undefined]);
    expect(parse("NATS/1.0 404 Message Not Found\r\n\r\n")).toMatchObject({
      code: 404,
      description: "Message Not Found",
    });
    expect(parse("NATS/1.0 503\r\n\r\n")).toMatchObject({ code: 503, fields: [] });
  });

  for (const [name, text] of [
    ["nothing", ""],
    ["no line end", "NATS/1.0"],
    ["one line end", "NATS/1.0\r\n"],
    ["no empty line", "NATS/1.0\r\nA: b\r\n"],
    ["a field without a line end", "NATS/1.0\r\nA: b"],
    ["an empty line inside", "NATS/1.0\r\nA: b\r\n\r\nB: c\r\n\r\n"],
    ["a line end of one character", "NATS/1.0\r\nA: b\nNats-Stream: X\r\n\r\n"],
    ["a carriage return in a value", "NATS/1.0\r\nA: b\rc\r\n\r\n"],
    ["a zero in a value", "NATS/1.0\r\nA: b\0\r\n\r\n"],
    ["a field without a colon", "NATS/1.0\r\nA b\r\n\r\n"],
    ["a field without a name", "NATS/1.0\r\n: b\r\n\r\n"],
    ["a space in a name", "NATS/1.0\r\nA : b\r\n\r\n"],
    ["a control character in a name", "NATS/1.0\r\n\x01: b\r\n\r\n"],
    ["a folded line", "NATS/1.0\r\nA: b\r\n c\r\n\r\n"],
    ["another version", "NATS/9.0\r\nA: b\r\n\r\n"],
    ["a code that is none", "NATS/1.0 abc\r\n\r\n"],
    ["something else", "hello\r\n\r\n"],
  ] as const) {
    test(`with ${name} is refused`, () => expect(parse(text)).toBeUndefined());
  }

  test("with much white space in a malformed line is refused in time that grows with its length alone", () => {
    const spaces = " \t".repeat(50_000);
    const fromMs = performance.now();
    for (const line of [`A:${spaces}\0`, `A:${spaces}b\n`, `A:b${spaces}\0`])
      expect(parse(`NATS/1.0\r\n${line}\r\n\r\n`)).toBeUndefined();
    expect(performance.now() - fromMs).toBeLessThan(2000); // it took most of a minute
    expect(parse(`NATS/1.0\r\nA:${spaces}b${spaces}\r\n\r\n`)?.fields).toEqual([["A", "b"]]);
  });

  test("tells how often a server put its fields into it, whatever their case", () => {
    const times = (...lines: string[]) =>
      timesRelayed(parse(["NATS/1.0", ...lines, "", ""].join("\r\n")) ?? { code: 0, description: "", fields: [] });
    expect(times("Nats-Msg-Id: a", "Nats-Expected-Last-Sequence: 1")).toBe(0);
    expect(times("Nats-Stream: A", "Nats-Subject: b", "Nats-Sequence: 1")).toBe(1);
    expect(times("A: bNats-Stream: A", "Nats-Subject: b", "Nats-Sequence: 1")).toBe(1);
    expect(times("nats-stream: A", "Nats-Stream: A")).toBe(2);
  });
});

describe("headers that are published", () => {
  test("are read back as they were given", () => {
    const given = { "Nats-Msg-Id": "n1", "Ashlar-Statement": "a.b" };
    const { headers } = withHeaders(given) as unknown as { headers: { encode(): Uint8Array } };
    expect(parseHeaderBlock(headers.encode())?.fields).toEqual(Object.entries(given));
  });

  test.each([
    ["a value with a line end", { A: "b\r\nC: d" }],
    ["a value with half of one", { A: "b\nC: d" }],
    ["a name with a colon", { "A:": "b" }],
  ])("with %s are refused", (_what, given: Record<string, string>) => {
    expect(() => withHeaders(given)).toThrow("a NATS message cannot have the header");
  });

  test("are left out where there are none", () => expect(withHeaders({})).toEqual({}));
});
