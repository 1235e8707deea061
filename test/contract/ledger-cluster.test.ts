import { startLedgerFixture } from "../support/jetstream-ledger.js";
import { natsPrograms } from "../support/nats-programs.js";
import { describeLedger } from "./ledger.contract.js";

for (const { name, program } of natsPrograms) {
  const start = () => startLedgerFixture({ cluster: true, program });
  describeLedger(`a ledger on a cluster of three, three replicas, ${name}`, start, { rounds: 15 });
}
