import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { status } from "@grpc/grpc-js";
import { afterAll, describe, expect, test } from "@jest/globals";
import { diskError, diskFaultOf } from "../../runtime/disk-fault.js";
import { replaceDurably, writeDurably } from "../../runtime/durable-file.js";
import { toGrpcStatus } from "../../runtime/grpc-status.js";

const dir = mkdtempSync(join(tmpdir(), "ash-fault-"));
afterAll(() => rmSync(dir, { recursive: true }));
const fault = (code: string) => Object.assign(new Error(`${code}: what the system says`), { code });

describe("what is wrong with a disk", () => {
  for (const [code, words] of [
    ["ENOSPC", "the disk is full"],
    ["EDQUOT", "the quota of the disk is used up"],
    ["EROFS", "the file system is read-only"],
    ["EIO", "the disk has a fault"],
  ] as const) {
    test(`${code} is said to whoever asked, with the path where it is known, and never as an internal error`, () => {
      const error = diskError("write", "/data/x", fault(code));
      expect(error.message).toContain(`cannot write /data/x: ${words}`);
      expect(toGrpcStatus(error)).toMatchObject({ code: status.UNAVAILABLE, details: error.message });
      expect(toGrpcStatus(fault(code)).details).toContain(`the server cannot write: ${words}`);
    });
  }

  test("other failures are none of a disk", () => {
    expect(diskFaultOf(fault("ECONNRESET"))).toBeUndefined();
    expect(toGrpcStatus(fault("ECONNRESET")).details).toBe("internal error");
  });
});

test("a file that cannot be written names itself, and what was there stays", async () => {
  writeFileSync(join(dir, "file"), "in the way of a folder");
  for (const write of [writeDurably, replaceDurably]) {
    const writing = async () => write(join(dir, "file", "below"), "x");
    await expect(writing()).rejects.toMatchObject({
      code: "unavailable",
      message: expect.stringContaining(`cannot write ${join(dir, "file", "below")}`),
    });
  }
});
