/** What is asked of gateways alone. */
import type { Check } from "../check.js";
import { edgeHosts } from "./edge-hosts.js";
import { edgeHttp1 } from "./edge-http1.js";
import { edgeIdentity } from "./edge-identity.js";
import { edgeWeb } from "./edge-web.js";
import { notGrpc, notOurTransport } from "./protocols.js";

export const edgeChecks: readonly Check[] = [
  { row: 20, name: "not gRPC", run: (arena) => notGrpc(arena, () => arena.connectListener("plain")) },
  {
    ...{ row: 20, name: "not our transport", untouched: true },
    run: (arena) => notOurTransport(arena, arena.attacked.listener("plain")),
  },
  ...edgeIdentity,
  ...edgeHttp1,
  ...edgeHosts,
  ...edgeWeb,
];
