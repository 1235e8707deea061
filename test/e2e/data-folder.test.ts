import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { releaseFolder, takeFolder } from "../../runtime/folder-lock.js";
import { cliPath, run } from "../support/processes.js";

let path: string;
beforeAll(() => {
  path = mkdtempSync(join(tmpdir(), "ash-folder-"));
  writeFileSync(join(path, "join.json"), JSON.stringify({ join: "127.0.0.1:1", rootHash: "0".repeat(64) }));
});
afterAll(() => rmSync(path, { recursive: true, force: true }));

/** Without the line that says that it starts. */
const runHere = (...args: readonly string[]) => run(process.execPath, [cliPath, ...args, "--log-level", "warn"]);
const startProxy = (data: string) =>
  runHere("proxy", "--service", "payments", "--join", join(path, "join.json"), "--data", data);

test("a second proxy on a data folder is refused: it would take the endpoint of the first away", async () => {
  await takeFolder(path, "a proxy");
  expect(await startProxy(path)).toMatchObject({
    code: 1,
    stdout: "",
    stderr: `ashlar: a proxy runs on the data folder ${path} already (process ${process.pid}); stop it, or give another --data\n`,
  });
  releaseFolder(path);
  const alone = await startProxy(path);
  expect([alone.code, alone.stderr]).toEqual([
    2,
    `ashlar: no identity in ${path} and no token: give --token FILE, which \`ashlar token\` prints\n`,
  ]);
  await takeFolder(path, "a proxy"); // it was given back
  releaseFolder(path);
});

test("a token file that is not there, or is empty, is said as that, ends with 2 and leaves no folder", async () => {
  const fresh = join(path, "fresh");
  const flags = ["--service", "payments", "--join", join(path, "join.json"), "--data", fresh];
  const start = (token: string) => runHere("proxy", ...flags, "--token", token);
  const missing = join(path, "missing.token");
  const no = `ashlar: no identity in ${fresh} and no token: --token: `;
  const done = await start(missing);
  expect([done.code, done.stderr]).toEqual([2, `${no}cannot read ${missing}: no such file or folder\n`]);
  const empty = join(path, "empty.token");
  writeFileSync(empty, "\n");
  expect(await start(empty)).toMatchObject({ code: 2, stderr: `${no}${empty} is empty\n` });
  const up = await runHere("up", "--data", fresh, "--join", join(path, "join.json"), "--token", missing);
  expect([up.code, up.stderr]).toEqual([2, `ashlar: --token: cannot read ${missing}: no such file or folder\n`]);
  expect(existsSync(fresh)).toBe(false);
});

test("a file where the folder should be is said in one line", async () => {
  const done = await startProxy(join(path, "join.json"));
  expect(done.code).toBe(1);
  expect(done.stderr).toMatch(/^ashlar: cannot use the data folder .*\n$/);
});

test("a word that is no command of `ashlar proxy` is named beside those that are", async () => {
  expect(await runHere("proxy", "lst")).toMatchObject({
    code: 2,
    stderr: "ashlar: unknown command 'lst': expected add, remove, list, or settings; see `ashlar proxy --help`\n",
  });
});
