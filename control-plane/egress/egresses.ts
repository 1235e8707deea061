/** Sets and removes the addresses of egresses in the trust log, for operators. */
import { X509Certificate } from "node:crypto";
import { type TrustedEgress, whyNotEgress } from "../../core/egress/trusted-egress.js";
import { AshlarError, messageOf } from "../../core/errors.js";
import { isLabel } from "../../core/identity.js";
import { removeEgress, setEgress } from "../../core/trust.js";
import type { Clock } from "../../runtime/clock.js";
import { Networks } from "../../runtime/networks.js";
import { type AuditTrail, audited, type Caller } from "../audit/audit-trail.js";
import type { Authority } from "../identity/authority.js";
import type { Ledger } from "../store/ledger.js";
import { appendTrust } from "../trust/append-trust.js";

export interface EgressesDeps {
  readonly authority: Pick<Authority, "mesh" | "holdsRoot" | "rootSigner">;
  readonly ledger: Pick<Ledger, "trust">;
  readonly audit: AuditTrail;
  readonly clock: Clock;
}

export interface Egresses {
  /**
   * Sets the address of an egress. Returns false if the trust log states the same already. Fails with `denied` if this
   * control plane does not hold the root key, and with `invalid_argument` or `limit` for invalid content.
   */
  set(egress: TrustedEgress, caller: Caller): Promise<boolean>;
  /** Removes an egress. Fails with `not_found`, and as `set` does. */
  remove(name: string, caller: Caller): Promise<void>;
  list(): readonly TrustedEgress[];
}

export function createEgresses(deps: EgressesDeps): Egresses {
  const { authority, ledger, audit, clock } = deps;
  const noted = (name: string, detail: string, caller: Caller) =>
    ({ action: "egress", target: `egress ${name.slice(0, 64)}`, caller, detail }) as const;
  return {
    set: (egress, caller) =>
      audited(audit, noted(egress.name, describe(egress), caller), async () => {
        requireRoot(authority);
        const sorted = { ...egress, allowAddresses: [...new Set(egress.allowAddresses)].sort() };
        check(sorted);
        return (await appendTrust(deps, (head) => setEgress(head, sorted, clock.nowMs()))).appended;
      }),
    remove: (name, caller) =>
      audited(audit, noted(name, "removed", caller), async () => {
        requireRoot(authority);
        await appendTrust(deps, (head) => removeEgress(head, name, clock.nowMs()));
      }),
    list: () => ledger.trust.head()?.body.egresses ?? [],
  };
}

function requireRoot({ holdsRoot }: EgressesDeps["authority"]): void {
  if (holdsRoot) return;
  throw new AshlarError("denied", "only the control plane that began the mesh changes trust: ask that one");
}

/** Refuses what proxies could not use, because here somebody reads the reason. */
function check(egress: TrustedEgress): void {
  const refuse = (message: string): never => {
    throw new AshlarError("invalid_argument", message);
  };
  const { name, ca, clientCert, allowAddresses } = egress;
  if (!isLabel(name))
    refuse(`the name of an egress is 1 to 63 of a-z, 0-9 and -, got ${JSON.stringify(name.slice(0, 64))}`);
  const why = whyNotEgress(egress);
  if (why !== undefined) refuse(why);
  try {
    new Networks(allowAddresses);
  } catch (error) {
    refuse(`allow_addresses: ${messageOf(error)}`);
  }
  for (const [field, pem] of [
    ["ca", ca],
    ["client_cert", clientCert],
  ] as const) {
    try {
      if (pem !== "") new X509Certificate(pem);
    } catch (error) {
      refuse(`${field} is no certificate in PEM: ${messageOf(error)}`);
    }
  }
}

function describe({ address, serverName, ca, clientKeyName, allowAddresses, through }: TrustedEgress): string {
  return [
    address.slice(0, 300),
    ...(serverName === "" ? [] : [`as ${serverName.slice(0, 255)}`]),
    ca === "" ? "public certificates" : "certificates of its own",
    ...(clientKeyName === "" ? [] : [`key ${clientKeyName.slice(0, 64)}`]),
    ...(allowAddresses.length === 0 ? [] : [`allowed ${allowAddresses.join(" ").slice(0, 512)}`]),
    ...(through === "" ? [] : [`through gateway/${through.slice(0, 64)}`]),
  ].join(", ");
}
