/**
 * The ledger: its state is what was appended. It writes each transfer with its place in the journal to a file before it
 * answers, reads that when it starts, and passes over a place that it has: so a transfer that comes again is booked once.
 */
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, writeSync } from "node:fs";
import { Server, type ServerUnaryCall, type sendUnaryData, status } from "@grpc/grpc-js";
import { runService } from "../shop/run-service.js";
import { Balances, type Booking, Postings } from "./books.js";
import { type Account, Ledger, type Receipt, type TransferRequest } from "./protocol.js";

const path = process.env.LEDGER_FILE;
if (path === undefined) throw new Error("LEDGER_FILE is not set: it names the file of this instance");

await runService("ledger", ({ description: { version } }) => {
  const books = version === "v1" ? new Balances() : new Postings();
  const receipts = new Map<number, Receipt | undefined>();
  const kept = existsSync(path) ? readFileSync(path, "utf8").split("\n").slice(0, -1) : [];
  for (const line of kept) {
    const booking = JSON.parse(line) as Booking;
    receipts.set(booking.sequence, books.book(booking));
  }
  const file = openSync(path, "a");
  process.once("exit", () => closeSync(file));
  const book = (booking: Booking): Receipt | undefined => {
    const { sequence } = booking;
    if (receipts.has(sequence)) return receipts.get(sequence);
    const receipt = books.book(booking);
    writeSync(file, `${JSON.stringify(booking)}\n`);
    fsyncSync(file);
    receipts.set(sequence, receipt);
    return receipt;
  };
  const server = new Server();
  server.addService(Ledger.service, {
    Transfer(call: ServerUnaryCall<TransferRequest, Receipt>, answer: sendUnaryData<Receipt>): void {
      const said = (name: string): number => Number(call.metadata.get(name)[0] ?? 0);
      const { from, to, cents } = call.request;
      const receipt = book({ sequence: said("ashlar-sequence"), from, to, cents });
      const late = receipt ?? { code: status.FAILED_PRECONDITION, details: `${from} has paid too much` };
      // an answer may be slow on its way, after the transfer is booked
      setTimeout(() => ("code" in late ? answer(late) : answer(null, late)), said("x-slow-ms"));
    },
    GetAccount(call: ServerUnaryCall<{ name: string }, Account>, answer: sendUnaryData<Account>): void {
      answer(null, { ...books.account(call.request.name), version });
    },
  });
  return server;
});
