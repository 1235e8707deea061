import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, describe, expect, test } from "@jest/globals";
import { openIssuedCertificates } from "../../../control-plane/identity/issued-certificates.js";
import { checkPlaceThere, checkWholeFolder, hasServed } from "../../../control-plane/identity/whole-folder.js";
import { openIdentityStore } from "../../../data-plane/identity/identity-store.js";
import { systemClock } from "../../../runtime/clock.js";

const dirs: string[] = [];
afterEach(() => {
  for (const dir of dirs.splice(0)) rmSync(dir, { recursive: true });
});
function folderWith(...names: readonly string[]): string {
  const dir = mkdtempSync(join(tmpdir(), "ash-whole-"));
  dirs.push(dir);
  for (const name of names) {
    mkdirSync(dirname(join(dir, name)), { recursive: true });
    writeFileSync(join(dir, name), "{}");
  }
  return dir;
}
const keys = "identity/authority.json";

describe("a data folder whose files do not belong together is refused", () => {
  for (const [what, names, missing] of [
    ["streams of an old mesh", ["nats/keys.json", "nats/jetstream/x"], keys],
    ["a ledger", ["mesh.json", "ledger/trust.log"], keys],
    ["certificates that were issued", ["identity/issued.jsonl"], keys],
    ["a place in somebody's mesh", ["identity/membership.json"], keys],
    ["streams without the keys of their account", [keys, "nats/jetstream/x"], "nats/keys.json"],
  ] as const) {
    test(what, () => {
      const dir = folderWith(...names);
      expect(() => checkWholeFolder(dir)).toThrow(`${join(dir, missing)} is missing beside `);
      expect(() => checkWholeFolder(dir)).toThrow("put it back from a backup (docs/recovery.md), or begin anew");
    });
  }

  test("a control plane that joined and lost its place", () => {
    const dir = folderWith(keys);
    expect(() => checkPlaceThere(dir, false, false)).toThrow(`${join(dir, "identity/membership.json")} is missing`);
    checkPlaceThere(dir, true, false);
    checkPlaceThere(dir, false, true);
  });

  test("a proxy's keys that are gone beside its identity: no new ones are made", () => {
    const dir = folderWith("identity/identity.json");
    expect(() => openIdentityStore(dir)).toThrow(/keys\.json is missing beside identity\.json/);
    expect(() => openIdentityStore(dir)).toThrow(/keys\.json is missing beside identity\.json/);
  });
});

test("a control plane has served where it kept its ports, or gave out an identity, and not in a new folder", () => {
  expect(hasServed(folderWith())).toBe(false);
  expect(hasServed(folderWith(keys, "identity/tokens.json"))).toBe(false);
  expect(hasServed(folderWith(keys, "ports.json"))).toBe(true);
  expect(hasServed(folderWith(keys, "identity/issued.jsonl"))).toBe(true);
});

test("keys from before the first proxy, and ones whose last start failed a week after the backup, have served", () => {
  const dir = folderWith(keys, "identity/issued.jsonl");
  const expired = { serial: "01", proxyId: "p1", service: "front", notAfterMs: 1 };
  writeFileSync(join(dir, "identity/issued.jsonl"), `${JSON.stringify(expired)}\n`);
  openIssuedCertificates({ dir, clock: systemClock });
  expect(statSync(join(dir, "identity/issued.jsonl")).size).toBe(0);
  expect(hasServed(dir)).toBe(true);
});

describe("a folder is whole", () => {
  for (const [what, names] of [
    ["that is new", []],
    ["of a first start that was cut short", ["mesh.json", "lock.json"]],
    ["of a join that was cut short", ["identity/joining.json", "identity/membership.json"]],
    ["whose streams are somebody's", [keys, "identity/tokens.json", "ledger/trust.log"]],
    ["whose NATS store was moved away", [keys, "nats/keys.json", "ledger/trust.log"]],
  ] as const) {
    test(what, () => expect(checkWholeFolder(folderWith(...names))).toEqual([]));
  }

  test("without the list of certificates, which is told", () => {
    const [line] = checkWholeFolder(folderWith(keys, "ports.json"));
    expect(line).toContain("issued.jsonl was lost: `ashlar revoke` of a proxy does not find");
  });
});
