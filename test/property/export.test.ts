import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { isAshlarError } from "../../core/errors.js";
import type { PolicyObject, Unit } from "../../core/model.js";
import { buildSnapshot } from "../../core/snapshot/build.js";
import { exportFiles } from "../../core/snapshot/export-files.js";
import { fileBytesMax, parsePolicyFiles } from "../../core/snapshot/parse-files.js";
import { bundleBytesMax, encodeBundle, parseBundle } from "../../core/wire/bundle.js";
import { signRevision, signTrust } from "../../core/wire/records.js";
import { assertions, policy } from "../support/policy-arbitrary.js";
import { buildRevision, buildTrust, createTestKey, testMesh } from "../support/records.js";
import { runs } from "../support/runs.js";

const [root, key] = [createTestKey(), createTestKey()];
const whole = fc.tuple(policy, assertions).map(([objects, more]) => [...objects, ...more]);

const build = (objects: readonly PolicyObject[]) => buildSnapshot(objects);
const unitsOf = (objects: readonly PolicyObject[]): readonly Unit[] => build(objects).units.map(({ unit }) => unit);

function bundleOf(objects: readonly PolicyObject[]): Uint8Array {
  const snapshot = build(objects);
  const trust = signTrust(buildTrust([key]), testMesh, root.signer);
  const body = { ...buildRevision(undefined), snapshot: snapshot.list.digest, changes: [] };
  const revision = signRevision(body, testMesh, key.signer);
  return encodeBundle({ mesh: testMesh, rootPublicKey: root.publicKey, trust, revision, snapshot });
}

const codeOf = (bytes: Uint8Array): string => {
  try {
    parseBundle(bytes);
    return "accepted";
  } catch (error) {
    return isAshlarError(error) ? error.code : String(error);
  }
};

describe("files that are exported", () => {
  test("say the very same: parsing them builds the digest that was exported", () => {
    fc.assert(
      fc.property(whole, (objects) => {
        const { list } = build(objects);
        const files = exportFiles(unitsOf(objects), list.digest);
        const parsed = parsePolicyFiles([...files].reverse()); // the order of files means nothing
        expect(parsed.findings).toEqual([]);
        expect(build(parsed.objects.map(({ object }) => object)).list.digest).toBe(list.digest);
        expect(files.map(({ name }) => name)).toEqual(
          unitsOf(objects)
            .filter(({ service }) => service !== undefined)
            .map(({ name }) => `${name}.yaml`),
        );
      }),
      { numRuns: runs(100) },
    );
  });

  test("of no policy at all are one file that says so, since a folder without files is refused", () => {
    const files = exportFiles(unitsOf([]), build([]).list.digest);
    expect(files.map(({ name }) => name)).toEqual(["empty.yaml"]);
  });

  test("of a service that is too long for one file are several, none longer than is read", () => {
    const from = Array.from({ length: 6000 }, (_, index) => `c${index.toString(36)}`);
    const authorizations = Array.from({ length: 14 }, (_, index): PolicyObject => {
      return { kind: "Authorization", name: `a${index}`, service: "one", allow: [{ from, methods: [] }], deny: [] };
    });
    const objects: PolicyObject[] = [{ kind: "Service", name: "one", methods: [] }, ...authorizations];
    const files = exportFiles(unitsOf(objects), build(objects).list.digest);
    expect(files.length).toBeGreaterThan(1);
    expect(files.every(({ content }) => Buffer.byteLength(content) <= fileBytesMax)).toBe(true);
    expect(files[1]?.name).toBe("one.2.yaml");
  });
});

describe("a bundle", () => {
  const prefixBytes = 2 + "ashlar-bundle-1".length;

  test("comes out as it went in, byte for byte, whatever the policy", () => {
    fc.assert(
      fc.property(whole, (objects) => {
        const bytes = bundleOf(objects);
        const { mesh, snapshot, revision } = parseBundle(bytes);
        expect(mesh).toBe(testMesh);
        expect(snapshot.list.digest).toBe(build(objects).list.digest);
        expect(revision.body.snapshot).toBe(snapshot.list.digest);
        expect(snapshot.units.map(({ unit }) => unit)).toEqual(unitsOf(objects));
      }),
      { numRuns: runs(50) },
    );
  });

  test("with any byte altered, cut anywhere, or with anything added is refused (I3, I6)", () => {
    fc.assert(
      fc.property(whole, fc.nat(), fc.integer({ min: 1, max: 255 }), (objects, at, flip) => {
        const bytes = bundleOf(objects);
        const place = at % bytes.length;
        const altered = Uint8Array.from(bytes, (byte, index) => (index === place ? byte ^ flip : byte));
        // without its first bytes it is no bundle at all
        expect(codeOf(altered)).toBe(place < prefixBytes ? "invalid_argument" : "invalid_record");
        expect(codeOf(bytes.subarray(0, place))).toBe(place < prefixBytes ? "invalid_argument" : "invalid_record");
        expect(codeOf(Buffer.concat([bytes, Uint8Array.of(0x9a, 0x06, 0x01, 0x78)]))).toBe("invalid_record"); // field 99
        expect(codeOf(Buffer.concat([bytes, bytes]))).toBe("invalid_record");
      }),
      { numRuns: runs(300) },
    );
  });

  test("above its bound is refused unread", () => {
    expect(codeOf(new Uint8Array(bundleBytesMax + 1))).toBe("limit");
  });

  test("whose revision another key signed than its trust record names is refused", () => {
    const snapshot = build([]);
    const trust = signTrust(buildTrust([key]), testMesh, root.signer);
    const body = { ...buildRevision(undefined), snapshot: snapshot.list.digest, changes: [] };
    const revision = signRevision(body, testMesh, createTestKey().signer);
    const forged = encodeBundle({ mesh: testMesh, rootPublicKey: root.publicKey, trust, revision, snapshot });
    expect(codeOf(forged)).toBe("invalid_record");
  });
});
