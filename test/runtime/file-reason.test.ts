import { readFileSync } from "node:fs";
import { expect, test } from "@jest/globals";
import { fileReason } from "../../runtime/file-reason.js";

const reasonOf = (path: string): string => {
  try {
    readFileSync(path);
  } catch (error) {
    return fileReason(error);
  }
  return "";
};

test("why a file cannot be read is said without the names of system calls", () => {
  expect(reasonOf("/no/such/file")).toBe("no such file or folder");
  expect(reasonOf("/")).toBe("it is a folder");
  expect(reasonOf("/etc/passwd/x")).toBe("a part of its path is no folder");
  expect(fileReason(Object.assign(new Error("ENOSPC: x"), { code: "ENOSPC" }))).toBe("the disk is full");
  expect(fileReason(new Error("it is no object"))).toBe("it is no object");
});
