/** Where egresses are, at a control plane: in the trust log, audited, refused where proxies could not use it. */
import { generateKeyPairSync } from "node:crypto";
import { beforeEach, describe, expect, test } from "@jest/globals";
import { createEgresses } from "../../../control-plane/egress/egresses.js";
import type { TrustedEgress } from "../../../core/egress/trusted-egress.js";
import type { Trust } from "../../../core/model.js";
import { createSigner } from "../../../core/signature.js";
import { mayTrust } from "../../../core/trust.js";
import { signTrust } from "../../../core/wire/records.js";
import { ManualClock } from "../../support/manual-clock.js";
import { PlainLog } from "../../support/plain-ledger.js";
import { buildTrust, createTestKey } from "../../support/records.js";

const mesh = "test";
const operator = { id: "spiffe://test/operator/admin", source: "127.0.0.1" };
const cards: TrustedEgress = {
  ...{ name: "cards", address: "api.cards.example:443", serverName: "", ca: "", clientKeyName: "", clientCert: "" },
  ...{ allowAddresses: [], through: "" },
};

describe("addresses of egresses", () => {
  let noted: string[];
  let log: PlainLog<Trust>;

  async function open(holdsRoot = true) {
    const rootSigner = createSigner(generateKeyPairSync("ed25519").privateKey);
    log = new PlainLog<Trust>(mayTrust);
    await log.append(signTrust(buildTrust([createTestKey()]), mesh, rootSigner));
    return createEgresses({
      authority: { mesh, holdsRoot, rootSigner },
      ledger: { trust: log },
      audit: {
        record: async ({ action, target, outcome, detail }) =>
          void noted.push([action, target, outcome, detail].join(" | ")),
      },
      clock: new ManualClock(),
    });
  }

  beforeEach(() => {
    noted = [];
  });

  test("are set, set again without a record, and removed, each noted in the audit log", async () => {
    const egresses = await open();
    const lan = { ...cards, allowAddresses: ["fd00::/8", "10.0.0.0/8", "10.0.0.0/8"], through: "out" };
    expect(await egresses.set(lan, operator)).toBe(true);
    expect(await egresses.set(lan, operator)).toBe(false);
    expect(egresses.list()).toEqual([{ ...lan, allowAddresses: ["10.0.0.0/8", "fd00::/8"] }]);
    await egresses.remove("cards", operator);
    expect(egresses.list()).toEqual([]);
    await expect(egresses.remove("cards", operator)).rejects.toMatchObject({ code: "not_found" });
    expect(noted).toEqual([
      ...Array.from(
        { length: 2 },
        () =>
          "egress | egress cards | ok | api.cards.example:443, public certificates, allowed fd00::/8 10.0.0.0/8 10.0.0.0/8, through gateway/out",
      ),
      "egress | egress cards | ok | removed",
      'egress | egress cards | not_found | there is no address of an egress "cards"',
    ]);
  });

  test.each([
    ["a name that is none", { name: "Cards" }],
    ["an address without a port", { address: "api.cards.example" }],
    ["a network with too many bits", { allowAddresses: ["10.0.0.0/33"] }],
    ["a network that is none", { allowAddresses: ["300.0.0.0/8"] }],
    ["certificates that are none", { ca: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" }],
  ])("are refused with %s", async (_what, more) => {
    const egresses = await open();
    await expect(egresses.set({ ...cards, ...more }, operator)).rejects.toMatchObject({ code: "invalid_argument" });
    expect(egresses.list()).toEqual([]);
    expect(noted).toHaveLength(1);
  });

  test("are changed by the control plane with the root key alone", async () => {
    const egresses = await open(false);
    await expect(egresses.set(cards, operator)).rejects.toMatchObject({ code: "denied" });
    await expect(egresses.remove("cards", operator)).rejects.toMatchObject({ code: "denied" });
  });
});
