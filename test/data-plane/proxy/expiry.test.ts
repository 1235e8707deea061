import { type ServiceError, status } from "@grpc/grpc-js";
import { afterEach, expect, test } from "@jest/globals";
import { issueIdentity } from "../../support/proxy-fakes.js";
import { ProxyPair, TestSide } from "../../support/proxy-pair.js";

let pair: ProxyPair;
afterEach(() => pair.stop());

test("the certificate of a called proxy that expires on an open connection ends the calls on it", async () => {
  pair = await ProxyPair.start({ Bidi: (call) => call.on("data", (chunk) => call.write(chunk)) });
  const brief = new TestSide(issueIdentity(pair.pki, "bytes", 2000), pair.pki.rootPem);
  brief.policy.current = pair.callee.policy.current;
  brief.app.set(pair.callee.app.current);
  const { address } = await brief.inbound();
  pair.caller.endpoints.all.splice(0);
  pair.caller.endpoints.add("bytes", address);
  const call = pair.client().bidi();
  const failed = new Promise<Partial<ServiceError>>((resolve) => call.once("error", resolve));
  call.write(Buffer.from("hello"));
  await new Promise((resolve) => call.once("data", resolve));
  const judging = setInterval(() => pair.caller.pool.closeWhere((socket) => !pair.caller.tls.isVerified(socket)), 100);
  expect((await failed).code).toBe(status.UNAVAILABLE);
  clearInterval(judging);
  brief.close();
});
