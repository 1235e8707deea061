import { expect, test } from "@jest/globals";
import { generateSigningKey } from "../../../control-plane/identity/generate-signing-key.js";
import { keyIdOf, publicKeyToBytes } from "../../../core/signature.js";

test("no key's id looks like an option of a command", () => {
  const ids = Array.from({ length: 500 }, () => keyIdOf(publicKeyToBytes(generateSigningKey())));
  expect(ids.filter((id) => id.startsWith("-"))).toEqual([]);
});
