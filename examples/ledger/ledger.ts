/**
 * The ledger: its state is what was appended to the journal. It writes each transfer with its sequence to a file before
 * it answers, reads that file when it starts, and ignores a sequence that it already has. So a transfer that comes
 * again is booked once.
 */
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, writeSync } from "node:fs";
import { Server, type ServerUnaryCall, type sendUnaryData, status } from "@grpc/grpc-js";
import { runService } from "../shop/run-service.js";
import { Balances, type Booking, Postings } from "./books.js";
import {
  type Account,
  Ledger,
  type Receipt,
  type Registered,
  type RegisterRequest,
  type TransferRequest,
} from "./protocol.js";

/** The customer of an account. The ledger stores that there is one, and not who it is. */
interface Registration extends Registered {
  readonly sequence: number;
}

const path = process.env.LEDGER_FILE;
if (path === undefined) throw new Error("LEDGER_FILE is not set: it names the file of this instance");

await runService("ledger", ({ description: { version } }) => {
  const books = version === "v1" ? new Balances() : new Postings();
  const receipts = new Map<number, Receipt | undefined>();
  const kept = existsSync(path) ? readFileSync(path, "utf8").split("\n").slice(0, -1) : [];
  const registered = new Map<string, number>();
  for (const line of kept) {
    const read = JSON.parse(line) as Booking | Registration;
    if ("account" in read) registered.set(read.account, read.sequence);
    else receipts.set(read.sequence, books.book(read));
  }
  const file = openSync(path, "a");
  process.once("exit", () => closeSync(file));
  const keep = (line: Booking | Registration): void => {
    writeSync(file, `${JSON.stringify(line)}\n`);
    fsyncSync(file);
  };
  const book = (booking: Booking): Receipt | undefined => {
    const { sequence } = booking;
    if (receipts.has(sequence)) return receipts.get(sequence);
    const receipt = books.book(booking);
    keep(booking);
    receipts.set(sequence, receipt);
    return receipt;
  };
  const server = new Server();
  const numberIn = (call: ServerUnaryCall<unknown, unknown>, name: string): number =>
    Number(call.metadata.get(name)[0] ?? 0);
  server.addService(Ledger.service, {
    Transfer(call: ServerUnaryCall<TransferRequest, Receipt>, answer: sendUnaryData<Receipt>): void {
      const { from, to, cents } = call.request;
      const receipt = book({ sequence: numberIn(call, "ashlar-sequence"), from, to, cents });
      const late = receipt ?? { code: status.FAILED_PRECONDITION, details: `${from} has paid too much` };
      // the answer may be delayed after the transfer is booked
      setTimeout(() => ("code" in late ? answer(late) : answer(null, late)), numberIn(call, "x-slow-ms"));
    },
    Register(call: ServerUnaryCall<RegisterRequest, Registered>, answer: sendUnaryData<Registered>): void {
      const { account, name, town } = call.request;
      const sequence = numberIn(call, "ashlar-sequence");
      if (name === "" || town === "") {
        answer({ code: status.INVALID_ARGUMENT, details: "name and town: say who the customer is" });
        return;
      }
      if (!registered.has(account)) keep({ sequence, account });
      registered.set(account, registered.get(account) ?? sequence);
      answer(null, { account });
    },
    GetAccount(call: ServerUnaryCall<{ name: string }, Account>, answer: sendUnaryData<Account>): void {
      const { name } = call.request;
      answer(null, { ...books.account(name), version, registered: registered.has(name) });
    },
  });
  return server;
});
