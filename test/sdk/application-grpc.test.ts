import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as grpc from "@grpc/grpc-js";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { findApplicationGrpc } from "../../sdk/application-grpc.js";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "application-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

function install(source: string): void {
  const place = join(folder, "node_modules", "@grpc", "grpc-js");
  mkdirSync(place, { recursive: true });
  writeFileSync(join(place, "index.js"), source);
}

test("an application with a copy of its own is given credentials of that one", () => {
  install('exports.ServerCredentials = { createInsecure: () => "theirs" }; exports.credentials = {};');
  expect(findApplicationGrpc(join(folder, "main.js")).ServerCredentials.createInsecure()).toBe("theirs");
});

test("without a copy, with one that is none, and inside this package it is the SDK's", () => {
  const own = grpc.ServerCredentials;
  expect(findApplicationGrpc(join(folder, "main.js")).ServerCredentials).toBe(own);
  install("exports.something = 1;");
  expect(findApplicationGrpc(join(folder, "main.js")).ServerCredentials).toBe(own);
  install("throw new Error('broken');");
  expect(findApplicationGrpc(join(folder, "main.js")).ServerCredentials).toBe(own);
  expect(findApplicationGrpc(undefined).ServerCredentials).toBe(own);
  expect(findApplicationGrpc("relative.js").ServerCredentials).toBe(own);
});
