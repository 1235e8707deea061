import { startLedgerFixture } from "../support/jetstream-ledger.js";
import { describeLedger } from "./ledger.contract.js";

describeLedger("a ledger on one JetStream server", () => startLedgerFixture({ cluster: false }), { rounds: 15 });
