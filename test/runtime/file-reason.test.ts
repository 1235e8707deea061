import { expect, test } from "@jest/globals";
import { fileReason } from "../../runtime/file-reason.js";

test.each(["EACCES", "EPERM"])("%s says which user lacks the permission, and what to do", (code) => {
  const said = fileReason(Object.assign(new Error("open /secret"), { code }));
  expect(said).toBe(
    `permission denied (this process is user ${process.getuid?.()}: give it to that user, or run as its owner)`,
  );
});
