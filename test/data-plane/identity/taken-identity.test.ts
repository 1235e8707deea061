/** An identity on a folder that a successor takes over. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "@jest/globals";
import { openIdentity } from "../../../data-plane/identity/proxy-identity.js";
import { Tenure } from "../../../data-plane/takeover/tenure.js";
import { systemClock } from "../../../runtime/clock.js";
import { silentLogger } from "../../../runtime/log.js";
import { startJoinMesh } from "../../support/join-mesh.js";

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

function folder(): string {
  const dir = mkdtempSync(join(tmpdir(), "identity-"));
  cleanups.push(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

test("a renewal that is under way writes nothing while a successor starts, nor after it took over", async () => {
  const at = await startJoinMesh(folder(), systemClock);
  cleanups.push(() => at.server.stop(0));
  const dir = folder();
  const tenure = new Tenure("owner");
  const stop = new AbortController();
  cleanups.push(() => stop.abort());
  const { token } = at.tokens.createToken({ service: "payments" });
  const deps = { clock: systemClock, log: silentLogger, random: Math.random, tenure };
  const identity = await openIdentity(deps, { dir, join: at.join, token, service: "payments" }, stop.signal);
  const stored = () => readFileSync(join(dir, "identity", "identity.json"), "utf8");
  await identity.renew();
  const before = { serial: identity.current.serial, stored: stored() };

  const renewing = identity.renew();
  await tenure.hold();
  while (identity.current.serial === before.serial) await new Promise((resolve) => setImmediate(resolve));
  expect(stored()).toBe(before.stored);
  tenure.begin(); // the successor did not come
  await renewing;
  const after = stored();
  expect(after).not.toBe(before.stored);

  const late = identity.renew();
  await tenure.hold();
  tenure.end();
  await late;
  expect(stored()).toBe(after);
});
