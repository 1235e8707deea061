import type { Check } from "../check.js";
import { drainChecks } from "./drain.js";
import { floods } from "./floods.js";
import { headerBlocks } from "./header-blocks.js";
import { honest } from "./honest.js";
import { identities } from "./identity.js";
import { interops } from "./interop.js";
import { listenerChecks } from "./listeners.js";
import { messages } from "./messages.js";
import { overloads } from "./overload.js";
import { policies } from "./policy.js";
import { protocols } from "./protocols.js";
import { resets } from "./resets.js";
import { serverConformance } from "./server-conformance.js";
import { stuckStreams } from "./stuck-streams.js";
import { upstreamFaults } from "./upstream-faults.js";
import { windows } from "./windows.js";

/** In the order of the table; those that stop a process come last. */
export const checks: readonly Check[] = [
  ...[
    ...resets,
    ...headerBlocks,
    ...floods,
    ...honest,
    ...windows,
    ...serverConformance,
    ...messages,
    ...protocols,
    ...identities,
    ...policies,
    ...upstreamFaults,
    ...interops,
    ...overloads,
    ...listenerChecks,
    ...stuckStreams,
  ].sort((a, b) => a.row - b.row),
  ...drainChecks,
];
