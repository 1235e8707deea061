/**
 * The application, in the version of its proxy: v1 serves shop.v1; v2 serves shop.v2, and shop.v1 for callers that have
 * not moved.
 */
import { Server, type ServerUnaryCall, type ServerWritableStream, type sendUnaryData } from "@grpc/grpc-js";
import { runService } from "../shop/run-service.js";
import { type Payment, PaymentsV1, PaymentsV2 } from "./protocol.js";

const tickMs = 100;

await runService("payments", ({ description: { version } }) => {
  const served = (method: string, cents: number): Payment & { currency: string } => ({
    ...{ cents, served_by: version, method: method.slice(1), currency: "EUR" },
  });
  const handlers = {
    Charge(call: ServerUnaryCall<{ cents: number }, Payment>, answer: sendUnaryData<Payment>): void {
      answer(null, served(call.getPath(), call.request.cents));
    },
    Watch(call: ServerWritableStream<object, Payment>): void {
      const timer = setInterval(() => call.write(served(call.getPath(), 0)), tickMs);
      call.on("cancelled", () => clearInterval(timer));
    },
  };
  const server = new Server();
  server.addService(PaymentsV1.service, handlers);
  if (version !== "v1") server.addService(PaymentsV2.service, handlers);
  return server;
});
