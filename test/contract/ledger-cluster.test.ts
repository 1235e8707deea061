import { startLedgerFixture } from "../support/jetstream-ledger.js";
import { describeLedger } from "./ledger.contract.js";

describeLedger("a ledger on a cluster of three, three replicas", () => startLedgerFixture({ cluster: true }), {
  rounds: 15,
});
