/** Payments: unary methods. The mesh tells it who is calling. */
import { Server, type ServerUnaryCall, type sendUnaryData } from "@grpc/grpc-js";
import { callerOf } from "../../sdk/index.js";
import { runService } from "./run-service.js";
import { type Payment, Payments } from "./shop.js";

let count = 0;

function charge(call: ServerUnaryCall<{ cents: number }, Payment>, answer: sendUnaryData<Payment>): void {
  count += 1;
  answer(null, { payment_id: `pay-${count}`, cents: call.request.cents, caller: callerOf(call) ?? "" });
}

function refund(call: ServerUnaryCall<{ payment_id: string }, Payment>, answer: sendUnaryData<Payment>): void {
  answer(null, { payment_id: call.request.payment_id, cents: 0, caller: callerOf(call) ?? "" });
}

await runService("payments", () => {
  const server = new Server();
  server.addService(Payments.service, { Charge: charge, Refund: refund });
  return server;
});
