import { expect, test } from "@jest/globals";
import { fieldName, findName, isVolatile, listName, nameText } from "../../../data-plane/http2/field-names.js";

const idOf = (name: string): number => findName(Buffer.from(name, "latin1"), 0, name.length);

test("the engine by itself has no name of the mesh's", () => {
  expect(idOf("ashlar-caller")).toBe(0);
  expect(idOf("grpc-timeout")).toBe(fieldName.grpcTimeout);
});

test("an owner's name is found under the id that it was given, and listed once", () => {
  const plain = listName("x-owner", false);
  const secret = listName("x-owner-secret", true);
  expect([idOf("x-owner"), idOf("x-owner-secret")]).toEqual([plain, secret]);
  expect([nameText(plain), nameText(secret)]).toEqual(["x-owner", "x-owner-secret"]);
  expect([isVolatile(plain), isVolatile(secret)]).toEqual([false, true]);
  expect(listName("x-owner", false)).toBe(plain);
  expect(listName("grpc-timeout", false)).toBe(fieldName.grpcTimeout);
});

test("names that are too long or too many are refused", () => {
  expect(() => listName("x".repeat(33), false)).toThrow("no room for one more field name");
  const fill = (): void => {
    for (let i = 0; i < 256; i++) listName(`x-many-${i}`, false);
  };
  expect(fill).toThrow("no room for one more field name");
  expect(nameText(251)).toBe(""); // ids from there on are marks where fields are written down
});
