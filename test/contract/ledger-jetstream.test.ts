import { startLedgerFixture } from "../support/jetstream-ledger.js";
import { natsPrograms } from "../support/nats-programs.js";
import { describeLedger } from "./ledger.contract.js";

for (const { name, program } of natsPrograms) {
  describeLedger(`a ledger on ${name}`, () => startLedgerFixture({ cluster: false, program }), { rounds: 15 });
}
