import { expect, test } from "@jest/globals";
import { messageOf } from "../../core/errors.js";

test("what is said about an error is one line that a terminal only shows", () => {
  expect(messageOf(new Error("first\nsecond"))).toBe("first");
  expect(messageOf(new Error('Unexpected token, "\u001b]0;x\u0007\r\u009b" is not JSON'))).toBe(
    'Unexpected token, "?]0;x???" is not JSON',
  );
});
