/** Signs and judges statements in tests: a certificate authority with a trust record. */
import { buildSpiffeId } from "../../core/identity.js";
import type { Signed, Trust } from "../../core/model.js";
import { signTrust } from "../../core/wire/records.js";
import type { StatementKind } from "../../core/wire/statement.js";
import type { ProxyIdentity } from "../../data-plane/ports.js";
import type { BusMessage } from "../../runtime/bus.js";
import type { Clock } from "../../runtime/clock.js";
import { systemClock } from "../../runtime/clock.js";
import { StatementReader } from "../../runtime/statement-reader.js";
import { StatementWriter } from "../../runtime/statement-writer.js";
import { parseSvid } from "../../runtime/tls-identity.js";
import { toPem } from "../../runtime/tls-identity-keys.js";
import { leafExtensions, makeCertificate, makeIntermediate, makeRoot, type TestCertificate } from "./certificates.js";
import { buildTrust, createTestKey, testMesh } from "./records.js";

/** Returns a reader that accepts unsigned statements for ever, for tests of other things. */
export function unsignedReader(clock: Pick<Clock, "nowMs" | "monotonicMs"> = systemClock): StatementReader {
  const unsignedUntilMs = (): number => Number.POSITIVE_INFINITY;
  return new StatementReader({ mesh: testMesh, trusting: () => undefined, clock, unsignedUntilMs });
}

/** Signs nothing, like the version before signatures. */
export const unsignedWriter: Pick<StatementWriter, "sign"> = { sign: () => ({}) };

export class StatementPki {
  readonly mesh: string;
  trust: Signed<Trust>;
  readonly #key = createTestKey();
  readonly #issuer: TestCertificate;

  constructor(mesh: string = testMesh) {
    this.mesh = mesh;
    const root = makeRoot(mesh);
    this.#issuer = makeIntermediate(root, mesh);
    this.trust = this.#sign({ ...buildTrust([]), bundles: [{ trustDomain: mesh, x509Roots: [root.der] }] });
  }

  /** Issues a certificate that is valid from a minute ago for an hour, unless stated otherwise. */
  issue(
    service: string,
    proxyId: string,
    times: { readonly notBeforeMs?: number; readonly notAfterMs?: number } = {},
  ): ProxyIdentity {
    const spiffeId = buildSpiffeId(this.mesh, "service", service);
    const extensions = leafExtensions(spiffeId);
    const { der, keyPem } = makeCertificate({ name: proxyId, issuer: this.#issuer, extensions, ...times });
    const { serial, notAfterMs } = parseSvid(der);
    return {
      mesh: this.mesh,
      proxyId,
      service,
      version: "v1",
      spiffeId,
      serial,
      notAfterMs,
      certificateChainPem: toPem([der, this.#issuer.der]),
      privateKeyPem: keyPem,
      natsServers: [],
      natsJwt: "",
      natsSeed: "",
      natsCaPem: "",
      unsignedUntilMs: 0,
    };
  }

  revoke(serial: string, reason = "stolen", timeMs = Date.now()): void {
    const { body, digest } = this.trust;
    const revocations = [...body.revocations, { serial, reason, timeMs }];
    this.trust = this.#sign({ ...body, sequence: body.sequence + 1, previous: digest, revocations });
  }

  reader(options: { readonly clock?: Clock; readonly unsignedUntilMs?: () => number } = {}): StatementReader {
    return new StatementReader({ mesh: this.mesh, trusting: () => this.trust, clock: systemClock, ...options });
  }

  #sign(trust: Trust): Signed<Trust> {
    return signTrust(trust, this.mesh, this.#key.signer);
  }
}

export function writerOf(current: ProxyIdentity, clock: Pick<Clock, "nowMs"> = systemClock): StatementWriter {
  return new StatementWriter({ identity: { current }, clock });
}

/** Returns a message as a reader of the bus gets it. */
export function messageOf(
  subject: string,
  data: Uint8Array,
  headers: Readonly<Record<string, string>> = {},
  relayed = false,
): BusMessage {
  return { subject, data, header: (name) => headers[name], relayed, origin: undefined };
}

/** Returns a signed message. */
export function signedMessage(
  writer: StatementWriter,
  kind: StatementKind,
  subject: string,
  data: Uint8Array,
): BusMessage {
  return messageOf(subject, data, writer.sign(kind, data));
}
