import { describe, expect, test } from "@jest/globals";
import { type ParsedFiles, parsePolicyFiles } from "../../../core/snapshot/parse-files.js";

function parse(content: string, name = "policy.yaml"): ParsedFiles {
  return parsePolicyFiles([{ name, content }]);
}

function messages(content: string): string[] {
  return parse(content).findings.map(({ line, column, field, message }) => `${line}:${column} ${field} ${message}`);
}

describe("parsePolicyFiles", () => {
  test("reads several documents of a file, in YAML and in JSON", () => {
    const yaml = parse("kind: Service\nname: a\n---\nkind: Route\nname: r\nservice: a\nrules: [{ timeout: 1.5s }]\n");
    expect(yaml.findings).toEqual([]);
    expect(yaml.objects.map(({ object, line }) => [line, object])).toEqual([
      [1, { kind: "Service", name: "a", methods: [] }],
      [4, { kind: "Route", name: "r", service: "a", rules: [{ match: undefined, split: [], timeoutMs: 1500 }] }],
    ]);
    const json = parse('{\n\t"kind": "Service",\n\t"name": "a",\n\t"methods": ["p.S/M"]\n}\n', "policy.json");
    expect(json.findings).toEqual([]);
    expect(json.objects[0]?.object).toEqual({ kind: "Service", name: "a", methods: ["p.S/M"] });
  });

  test("reads nothing out of files without documents", () => {
    for (const content of ["", "\n", "# only a comment\n", "---\n---\n", "\ufeff"])
      expect([content, parse(content)]).toEqual([content, { objects: [], findings: [] }]);
  });

  test("takes Windows line ends and a byte order mark", () => {
    const { objects, findings } = parse("\ufeffkind: Service\r\nname: a\r\n");
    expect(findings).toEqual([]);
    expect(objects).toHaveLength(1);
  });

  test("takes a match without fields as none", () => {
    const { objects } = parse("kind: Route\nname: r\nservice: a\nrules: [{ match: {} }]\n");
    expect(objects[0]?.object).toEqual({
      kind: "Route",
      name: "r",
      service: "a",
      rules: [{ split: [], timeoutMs: 0 }],
    });
  });

  test("takes how stale a route's caller may be, and fails where nothing is said", () => {
    const of = (rule: string) => parse(`kind: Route\nname: r\nservice: a\nrules: [{ ${rule} }]\n`);
    const rules = (rule: string) => of(rule).objects[0]?.object;
    expect(rules("maxStaleness: 30s")).toMatchObject({ rules: [{ maxStalenessMs: 30_000, onStale: "fail" }] });
    expect(rules("maxStaleness: 1h, onStale: keep")).toMatchObject({
      rules: [{ maxStalenessMs: 3_600_000, onStale: "keep" }],
    });
    expect(of("maxStaleness: 3s").findings[0]?.message).toContain("from 10s to 24h");
    expect(of("maxStaleness: 30s, onStale: open").findings[0]?.message).toContain('expected "keep" or "fail"');
    expect(of("onStale: fail").findings[0]).toMatchObject({ line: 4, column: 20 });
  });

  test("knows where texts stand", () => {
    const { objects } = parse("kind: Authorization\nname: a\nservice: s\nallow:\n  - from: [b, checkout]\n");
    expect(objects[0]?.places.get("allow[0].from=checkout")).toEqual({
      line: 5,
      column: 15,
      field: "allow[0].from[1]",
    });
  });

  test("takes a condition as it was written, without the blanks around it", () => {
    const { objects, findings } = parse(
      "kind: Authorization\nname: a\nservice: s\ndeny:\n  - when: |\n      caller.service == ''\n      || true\n",
    );
    expect(findings).toEqual([]);
    expect(objects[0]?.object).toMatchObject({ deny: [{ from: [], when: "caller.service == ''\n|| true" }] });
  });

  test("takes an assertion with one caller or several, and with exactly one claim", () => {
    const of = (claim: string) => `kind: Assertion\nname: a\n${claim}\n`;
    expect(parse(of("never: { from: b, to: s }")).objects[0]?.object).toEqual({
      kind: "Assertion",
      name: "a",
      service: "s",
      claim: "never",
      from: ["b"],
      methods: [],
    });
    const always = parse(of('always: { from: ["*", b], to: s, methods: [p.S/*] }'));
    expect(always.objects[0]?.object).toMatchObject({ claim: "always", from: ["*", "b"], methods: ["p.S/*"] });
    expect(messages(of(""))).toEqual(['1:1  an Assertion has either "never" or "always": it has neither']);
    expect(messages(of("never: { from: b, to: s }\nalways: { from: b, to: s }"))).toEqual([
      '1:1  an Assertion has either "never" or "always": it has both; write two Assertions',
    ]);
    expect(messages(of("never: { from: B, to: s }"))).toEqual([
      '3:16 never.from expected a service\'s name, "gateway/NAME", a SPIFFE ID in full, or "*", found "B"',
    ]);
    expect(messages(of("never: x"))).toEqual(['3:8 never expected callers, a service and methods, found "x"']);
  });

  test("refuses fields and kinds that come later, naming them", () => {});

  test("refuses a key that is there twice, in every place", () => {
    expect(messages("kind: Service\nname: a\nname: b\n")).toEqual([
      '3:1  "name" is there twice; the first is at line 2',
    ]);
    const headers = "kind: Route\nname: r\nservice: s\nrules: [{ match: { headers: { a: x, a: y } } }]\n";
    expect(messages(headers)).toEqual(['4:37 rules[0].match.headers "a" is there twice; the first is at line 4']);
  });

  test("names the other place of an object that is there twice, over files", () => {
    const content = "kind: Service\nname: a\n";
    const { findings } = parsePolicyFiles([
      { name: "one.yaml", content },
      { name: "two.yaml", content },
    ]);
    expect(findings).toMatchObject([
      { file: "two.yaml", line: 2, column: 7, field: "name", message: "Service a is there already: one.yaml:1:1" },
    ]);
  });

  test("refuses a second route of a service", () => {
    const route = (name: string) => `kind: Route\nname: ${name}\nservice: a\n`;
    expect(messages(`${route("r")}---\n${route("q")}`)).toEqual([
      "7:10 service a Route for service a is there already: policy.yaml:1:1",
    ]);
  });

  test("follows aliases, and refuses more than a hundred", () => {
    const rule = (count: number) =>
      `kind: Authorization\nname: a\nservice: s\nallow:\n  - from: &f [b]\n${"  - from: *f\n".repeat(count)}`;
    expect(parse(rule(100)).findings).toEqual([]);
    expect(messages(rule(101))).toEqual(["106:11 allow[101].from more than 100 aliases in one document"]);
  });

  test("keeps merge keys and tags out", () => {
    expect(messages("kind: Service\n<<: { name: a }\nname: b\n")[0]).toMatch(/unknown field "<<"/);
    expect(messages("kind: Service\nname: !x a\n")[0]).toMatch(/Unresolved tag/);
    expect(messages("kind: Service\nname: !!binary aGk=\n")).toHaveLength(1);
  });
});

describe("bounds of policy files (I8)", () => {
  test("refuses a file of more than 1 MiB and goes on with the others", () => {
    const { objects, findings } = parsePolicyFiles([
      { name: "large.yaml", content: `# ${"x".repeat(1024 * 1024)}` },
      { name: "small.yaml", content: "kind: Service\nname: a\n" },
    ]);
    expect(findings).toMatchObject([{ file: "large.yaml", line: 0, severity: "error" }]);
    expect(objects).toHaveLength(1);
  });

  test("refuses more than 8 MiB together", () => {
    const content = `# ${"x".repeat(1024 * 1024 - 10)}`;
    const files = Array.from({ length: 12 }, (_, index) => ({ name: `${index}.yaml`, content }));
    expect(parsePolicyFiles(files).findings).toHaveLength(1);
  });

  test("refuses nesting that would exhaust the stack, in every form", () => {
    const indented = Array.from({ length: 900 }, (_, depth) => `${" ".repeat(depth)}a:\n`).join("");
    for (const content of [
      "[".repeat(400_000),
      "{a: ".repeat(100_000),
      "- ".repeat(200_000),
      "? ".repeat(90_000),
      indented,
    ]) {
      const { findings } = parse(content);
      expect(findings.map(({ message }) => message)).toEqual(["nested too deeply for a policy file"]);
      expect(findings[0]?.line).toBeGreaterThan(0);
    }
  });

  test("does not open an alias bomb", () => {
    const bomb = ["a0: &a0 [x, x]"];
    for (let level = 1; level < 40; level++) bomb.push(`a${level}: &a${level} [*a${level - 1}, *a${level - 1}]`);
    const started = messages(`${bomb.join("\n")}\nkind: Service\nname: a\nmethods: *a39\n`);
    expect(started.at(-1)).toMatch(/expected a method/);
  });

  test("gives at most a thousand findings and says how many more there are", () => {
    const { findings } = parse(
      `kind: Service\nname: a\n${Array.from({ length: 1500 }, (_, i) => `x${i}: 1\n`).join("")}`,
    );
    expect(findings).toHaveLength(1001);
    expect(findings.at(-1)?.message).toBe("500 more findings are not shown");
  });

  test("refuses more than 50,000 documents", () => {
    const { findings } = parse("a: 1\n---\n".repeat(60_000));
    expect(findings.some(({ message }) => message === "more than 50000 documents")).toBe(true);
  });
});
