/** A mesh for tests of commands: two proxies that evaluate the policy in force, and a folder with that policy. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type FakeAdmin, proxyInfo, statusInfo } from "./fake-admin.js";

/** Writes policy below `folder`, beside files that are none. Returns its path. */
export function writePolicy(folder: string): string {
  const policy = join(folder, "policy");
  mkdirSync(join(policy, "deeper"), { recursive: true });
  writeFileSync(join(policy, "b.yaml"), "kind: Service\nname: payments\n");
  writeFileSync(join(policy, "deeper", "a.yml"), "kind: Service\nname: checkout\n");
  writeFileSync(join(policy, "notes.txt"), "not policy");
  writeFileSync(join(policy, ".hidden.yaml"), "not policy either");
  return policy;
}

export const settledAnswers = (): FakeAdmin["answers"] => ({
  getStatus: statusInfo(),
  listProxies: { proxies: [proxyInfo("p-1"), proxyInfo("p-2")] },
  getConvergence: {},
  diffRevisions: {},
});
