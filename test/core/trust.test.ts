import { describe, expect, test } from "@jest/globals";
import { egressesMax, type TrustedEgress } from "../../core/egress/trusted-egress.js";
import { type AshlarError, isAshlarError } from "../../core/errors.js";
import type { SigningKey, Trust } from "../../core/model.js";
import { keyIdOf } from "../../core/signature.js";
import type { TrustedIssuer } from "../../core/token/token-model.js";
import {
  delegateSigning,
  mayTrust,
  removeEgress,
  removeIssuer,
  revoke,
  setEgress,
  setIssuer,
  setJournalHolder,
} from "../../core/trust.js";
import { rootKeySet, signTrust, verifyTrust } from "../../core/wire/records.js";
import { testHolder } from "../support/holder.js";
import { buildTrust, createTestKey, testMesh } from "../support/records.js";
import { TestTokenIssuer } from "../support/token-issuer.js";

const root = createTestKey();
const first = createTestKey();
const head = signTrust(buildTrust([first]), testMesh, root.signer);
const keyOf = (holder: string): SigningKey => {
  const { publicKey } = createTestKey();
  return { kid: keyIdOf(publicKey), publicKey, holder };
};

function codeOf(act: () => unknown): string | undefined {
  try {
    act();
    return undefined;
  } catch (error) {
    return isAshlarError(error) ? error.code : String(error);
  }
}

test("revocations are added, never twice and never lost, sorted, and at most so many", () => {
  const one = revoke(head, ["cd", "ab", "cd"], "stolen", 5);
  expect(one?.revocations).toEqual([
    { serial: "ab", reason: "stolen", timeMs: 5 },
    { serial: "cd", reason: "stolen", timeMs: 5 },
  ]);
  const signed = signTrust(one ?? head.body, testMesh, root.signer);
  expect(mayTrust(head, signed.body)).toBe(true);
  expect(revoke(signed, ["ab"], "again", 6)).toBeUndefined();
  expect(revoke(signed, ["aa"], "", 7)?.revocations.map(({ serial }) => serial)).toEqual(["aa", "ab", "cd"]);
  const many = Array.from({ length: 10_000 }, (_, at) => at.toString(16).padStart(8, "0"));
  expect(() => revoke(signed, many, "", 8)).toThrow(/10000 certificates are revoked/);
});

describe("a further control plane's key is delegated in the trust log", () => {
  const key = keyOf("second");

  test("the record follows the head, keeps everything else, and verifies under the root alone", () => {
    const next = delegateSigning(head, key, 7);
    if (next === undefined) throw new Error("no record");
    expect(mayTrust(head, next)).toBe(true);
    expect(next.timeMs).toBe(7);
    expect(next.bundles).toEqual(head.body.bundles);
    expect(new Set(next.signingKeys)).toEqual(new Set([...head.body.signingKeys, key]));
    const signed = signTrust(next, testMesh, root.signer);
    expect(verifyTrust(signed.bytes, testMesh, rootKeySet(root.publicKey)).body).toEqual(next);
    expect(codeOf(() => verifyTrust(signed.bytes, testMesh, rootKeySet(key.publicKey)))).toBe("unauthenticated");
  });

  test("done again it changes nothing; another key of the same name, or the key under another name, is refused", () => {
    const next = delegateSigning(head, key, 7);
    const signed = signTrust(next ?? head.body, testMesh, root.signer);
    expect(delegateSigning(signed, key, 8)).toBeUndefined();
    expect(codeOf(() => delegateSigning(signed, keyOf("second"), 8))).toBe("exists");
    expect(codeOf(() => delegateSigning(signed, { ...key, holder: "third" }, 8))).toBe("exists");
    expect(delegateSigning(signed, keyOf("third"), 8)?.signingKeys).toHaveLength(3);
  });
});

describe("issuers of tokens in trust", () => {
  const { trusted } = new TestTokenIssuer();
  const other = new TestTokenIssuer("b-others").trusted;
  const sign = (body: Trust) => signTrust(body, testMesh, root.signer);
  const withIssuers = (...issuers: readonly TrustedIssuer[]): Trust => ({ ...head.body, issuers });
  const required = (trust: Trust | undefined): Trust => {
    if (trust === undefined) throw new Error("nothing was set");
    return trust;
  };

  test("are set by name and survive the log; keys that are read again and are the same change nothing", () => {
    const one = sign(required(setIssuer(head, other, 2)));
    const two = sign(required(setIssuer(one, trusted, 3)));
    const read = verifyTrust(two.bytes, testMesh, rootKeySet(root.publicKey));
    expect(read.body.issuers).toEqual([trusted, other]);
    expect(mayTrust(one, two.body)).toBe(true);
    expect(setIssuer(two, { ...trusted, fetchedMs: 99 }, 4)).toBeUndefined();
    expect(setIssuer(two, { ...trusted, jwks: "{}" }, 4)?.issuers).toHaveLength(2);
    expect(removeIssuer(two, "accounts", 4).issuers).toEqual([other]);
    expect(codeOf(() => removeIssuer(two, "acounts", 4))).toBe("not_found");
  });

  test("have an iss each of their own, and are at most 32", () => {
    const set = sign(withIssuers(trusted));
    expect(codeOf(() => setIssuer(set, { ...trusted, name: "twin" }, 2))).toBe("exists");
    const many = Array.from({ length: 32 }, (_, index) => new TestTokenIssuer(`i${10 + index}`, []).trusted);
    expect(codeOf(() => setIssuer(sign(withIssuers(...many)), trusted, 2))).toBe("limit");
  });

  test("leave room for revocations, however large their key sets grow (I8)", () => {
    const large = (index: number): TrustedIssuer => ({
      ...new TestTokenIssuer(`i${10 + index}`, []).trusted,
      jwks: "x".repeat(65_536),
    });
    let full = head;
    for (let index = 0; index < 6; index++) full = sign(required(setIssuer(full, large(index), 2)));
    expect(codeOf(() => setIssuer(full, large(6), 2))).toBe("limit");
    const revocations = Array.from({ length: 3000 }, (_, index) => ({
      serial: index.toString(16).padStart(40, "0"),
      timeMs: 1_700_000_000_000,
      reason: "lost",
    }));
    expect(sign({ ...full.body, revocations }).body.revocations).toHaveLength(3000);
  });

  test.each([
    ["out of order", [other, trusted]],
    ["of one iss", [trusted, { ...other, issuer: trusted.issuer }]],
    ["with a URL that is not https", [{ ...trusted, jwksUrl: "http://a.example/jwks" }]],
    ["with a name that is none", [{ ...trusted, name: "No Name" }]],
    ["with an iss that has spaces", [{ ...trusted, issuer: "a b" }]],
    ["with more than 64 KiB of keys", [{ ...trusted, jwks: "x".repeat(65_537) }]],
  ])("%s are not signed", (_what, issuers) => {
    expect(codeOf(() => sign(withIssuers(...issuers)))).toBe("invalid_record");
  });
});

describe("the holder of private fields", () => {
  const { publicKey } = testHolder;
  const sign = (body: Trust) => signTrust(body, testMesh, root.signer);

  test("is set in a link of the log, once, and read back with its time; other changes keep it", () => {
    const one = sign(setJournalHolder(head, publicKey, 2) as Trust);
    const { body } = verifyTrust(one.bytes, testMesh, rootKeySet(root.publicKey));
    expect([body.journalHolder, mayTrust(head, body)]).toEqual([{ publicKey, sinceMs: 2 }, true]);
    expect(setJournalHolder(one, publicKey, 3)).toBeUndefined();
    expect(revoke(one, ["0a"], "", 4)?.journalHolder).toEqual({ publicKey, sinceMs: 2 });
    expect("journalHolder" in head.body).toBe(false);
  });

  test.each([
    ["", "a text that is no key"],
    [`MCowBQYDK2VuAyEA${"A".repeat(43)}=`, "a key of low order"],
  ])("is refused as %j, %s", (wrong) => {
    const body = { ...head.body, journalHolder: { publicKey: wrong, sinceMs: 1 } };
    expect(() => sign(body)).toThrow(/journal_holder\.public_key/); // a record is signed by the reader's rules
  });
});

describe("addresses of egresses", () => {
  const cards: TrustedEgress = {
    ...{ name: "cards", address: "api.cards.example:443", serverName: "", ca: "", clientKeyName: "", clientCert: "" },
    ...{ allowAddresses: ["10.0.0.0/8", "fd00::/8"], through: "out" },
  };
  const post = { ...cards, name: "post", address: "[2001:db8::1]:8443" };
  const sign = (body: Trust) => signTrust(body, testMesh, root.signer);
  const codeOf = (act: () => unknown): string | undefined => {
    try {
      act();
      return undefined;
    } catch (error) {
      return (error as AshlarError).code;
    }
  };

  test("are set and removed in links of the log, sorted, and read back as they were", () => {
    const one = sign(setEgress(head, post, 2) as Trust);
    const two = sign(setEgress(one, cards, 3) as Trust);
    expect(verifyTrust(two.bytes, testMesh, rootKeySet(root.publicKey)).body.egresses).toEqual([cards, post]);
    expect(mayTrust(one, two.body)).toBe(true);
    expect(setEgress(two, { ...cards }, 4)).toBeUndefined();
    expect(setEgress(two, { ...cards, through: "" }, 4)?.egresses[0]?.through).toBe("");
    expect(removeEgress(two, "cards", 4).egresses).toEqual([post]);
    expect(codeOf(() => removeEgress(two, "crads", 4))).toBe("not_found");
  });

  test("are bounded in number and bytes, so that revocations have room (I8)", () => {
    const many = Array.from({ length: egressesMax }, (_, index) => ({ ...cards, name: `e${100 + index}` }));
    expect(codeOf(() => setEgress(sign({ ...head.body, egresses: many }), cards, 2))).toBe("limit");
    const ca = `-----BEGIN CERTIFICATE-----${"x".repeat(30_000)}`;
    const large = ["a", "b"].map((name) => ({ ...cards, name, ca }));
    expect(codeOf(() => setEgress(sign({ ...head.body, egresses: large }), { ...cards, ca }, 2))).toBe("limit");
  });

  test.each([
    ["out of order", [post, cards]],
    ["twice", [cards, cards]],
    ["without a port", [{ ...cards, address: "api.cards.example" }]],
    ["with port 0", [{ ...cards, address: "api.cards.example:0" }]],
    ["with a port above 65535", [{ ...cards, address: "api.cards.example:65536" }]],
    ["with a host that is none", [{ ...cards, address: "api cards:443" }]],
    ["with a server name that is none", [{ ...cards, serverName: "a/b" }]],
    ["with a certificate that is none", [{ ...cards, ca: "x" }]],
    ["with a certificate of no key", [{ ...cards, clientCert: "-----BEGIN CERTIFICATE-----" }]],
    ["with a key's name that is none", [{ ...cards, clientKeyName: "../key" }]],
    ["with a gateway that is none", [{ ...cards, through: "gateway/out" }]],
    ["with a network that is none", [{ ...cards, allowAddresses: ["10.0.0.0"] }]],
    ["with networks out of order", [{ ...cards, allowAddresses: ["fd00::/8", "10.0.0.0/8"] }]],
  ])("%s are refused", (_what, egresses) => {
    expect(codeOf(() => sign({ ...head.body, egresses }))).toBe("invalid_record");
  });
});
