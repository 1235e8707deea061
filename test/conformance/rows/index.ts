import type { Check, Target } from "../check.js";
import { drainChecks, halfOpen } from "./drain.js";
import { edgeChecks } from "./edge.js";
import { floods } from "./floods.js";
import { headerBlocks } from "./header-blocks.js";
import { honest } from "./honest.js";
import { identities } from "./identity.js";
import { interops, interopsAnywhere } from "./interop.js";
import { listenerChecks } from "./listeners.js";
import { messages } from "./messages.js";
import { overloads, overloadsAnywhere } from "./overload.js";
import { policies } from "./policy.js";
import { protocols } from "./protocols.js";
import { resets } from "./resets.js";
import { serverConformance } from "./server-conformance.js";
import { stuckCallers, stuckStreams } from "./stuck-streams.js";
import { upstreamFaults } from "./upstream-faults.js";
import { windows } from "./windows.js";

const byRow = (checks: readonly Check[]): readonly Check[] => [...checks].sort((a, b) => a.row - b.row);

/** What a client can do to whoever takes its connection. */
const ofConnections = [...resets, ...headerBlocks, ...floods, ...windows, ...serverConformance, ...messages];

/** In the order of the table; those that stop a process come last. */
const ofProxies: readonly Check[] = [
  ...byRow([
    ...ofConnections,
    ...honest,
    ...protocols,
    ...identities,
    ...policies,
    ...upstreamFaults,
    ...interops,
    ...overloads,
    ...listenerChecks,
    ...stuckStreams,
  ]),
  ...drainChecks,
];

const ofGateways = byRow([
  ...ofConnections,
  ...edgeChecks,
  ...honest,
  ...upstreamFaults,
  ...interopsAnywhere,
  ...overloadsAnywhere,
  ...stuckCallers,
  halfOpen,
]);

/** A quick run attacks a gateway with what does not take seconds: its connections are a proxy's, which has been attacked with the rest. */
export function checksOf(target: Target, quick: boolean): readonly Check[] {
  if (target === "proxy") return ofProxies;
  return quick ? ofGateways.filter(({ slowAtGateway }) => slowAtGateway !== true) : ofGateways;
}
