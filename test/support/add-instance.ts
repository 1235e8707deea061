import type { ByteHandlers } from "./byte-service.js";
import { buildPolicy, everyone, issueIdentity } from "./proxy-fakes.js";
import { type ProxyPair, TestSide } from "./proxy-pair.js";

/** Adds an instance of the pair's service "bytes" with a proxy and an application of its own. The test closes it. */
export async function addInstance(pair: ProxyPair, version: string, handlers: ByteHandlers): Promise<TestSide> {
  const side = new TestSide(issueIdentity(pair.pki, "bytes"), pair.pki.rootPem);
  side.version = version;
  side.policy.switchTo(buildPolicy(1, [{ service: "bytes", allow: [everyone] }]));
  const first = pair.callee.app.current;
  await pair.startServer(handlers);
  side.app.set(pair.callee.app.current);
  pair.callee.app.set(first);
  const { address } = await side.inbound();
  pair.caller.endpoints.add("bytes", address, { version });
  return side;
}
