import { LocalExchangeHub } from "../support/local-exchange.js";
import { describeLimitExchange } from "./limit-exchange.contract.js";

describeLimitExchange("limit reports within a process", async () => {
  const hub = new LocalExchangeHub();
  const life = new AbortController();
  return {
    members: ["a", "b", "c"].map((name) => hub.join(name, life.signal)),
    proxies: 3,
    lose: undefined,
    close: async () => life.abort(),
  };
});
