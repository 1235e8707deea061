/** The application's own key with its certificate for direct reads, which its proxy gets for it. The key stays in memory. */
import { generateKeyPairSync } from "node:crypto";
import { createSecureContext } from "node:tls";
import { type ServiceError, status } from "@grpc/grpc-js";
import { messageOf } from "../../core/errors.js";
import { Backoff } from "../../runtime/backoff.js";
import type { Clock } from "../../runtime/clock.js";
import { parseCallerSvid } from "../../runtime/tls-identity.js";
import { toPem } from "../../runtime/tls-identity-keys.js";
import { buildCertificateRequest } from "./certificate-request.js";

export interface DirectCredentials {
  readonly privateKeyPem: string;
  readonly chainPem: string;
  readonly notAfterMs: number;
}

export interface DirectIdentityDeps {
  readonly clock: Clock;
  readonly random: () => number;
  /** Asks the agent for a certificate; DER, leaf first. */
  readonly issue: (csr: Buffer) => Promise<readonly Uint8Array[]>;
  readonly signal: AbortSignal;
}

const retry = { msMin: 200, msMax: 60_000 };
const agoMs = 1000;

export class DirectIdentity {
  readonly #deps: DirectIdentityDeps;
  readonly #listeners = new Set<() => void>();
  #credentials: DirectCredentials | undefined;
  #problem = "there is no certificate yet";
  #isRunning = false;
  #isWanted: () => boolean = () => false;
  #wake = new AbortController();

  constructor(deps: DirectIdentityDeps) {
    this.#deps = deps;
  }

  /** undefined: there is none that is good now. */
  get current(): DirectCredentials | undefined {
    return this.isGood(this.#credentials?.notAfterMs ?? 0) ? this.#credentials : undefined;
  }

  /** Whether a certificate that ends then is good now. */
  isGood(notAfterMs: number): boolean {
    return notAfterMs > this.#deps.clock.nowMs() + agoMs;
  }

  /** Why there is none. */
  get problem(): string {
    return this.#problem;
  }

  onChange(listener: () => void): void {
    this.#listeners.add(listener);
  }

  /** Asks now, and again in time, as long as `isWanted`. */
  want(isWanted: () => boolean): void {
    this.#isWanted = isWanted;
    this.#wake.abort();
    if (!this.#isRunning) void this.#run();
  }

  async #run(): Promise<void> {
    const { clock, random, signal } = this.#deps;
    const backoff = new Backoff(retry, random);
    this.#isRunning = true;
    while (!signal.aborted && this.#isWanted()) {
      this.#wake = new AbortController();
      const dueMs = this.#dueMs();
      if (dueMs > 0) {
        await clock.sleep(dueMs, AbortSignal.any([signal, this.#wake.signal]));
        continue;
      }
      if (await this.#renew()) backoff.reset();
      else await clock.sleep(Math.min(backoff.nextMs(), this.#leftMs()), AbortSignal.any([signal, this.#wake.signal]));
      for (const listener of this.#listeners) listener();
    }
    this.#isRunning = false;
  }

  /** Milliseconds until two thirds of its life are over, varied so that applications do not ask at once. */
  #dueMs(): number {
    return this.#renewAtMs - this.#deps.clock.nowMs();
  }

  /** So that its end is noticed. */
  #leftMs(): number {
    const left = (this.#credentials?.notAfterMs ?? 0) - this.#deps.clock.nowMs();
    return left > 0 ? left : retry.msMax;
  }

  #renewAtMs = 0;

  async #renew(): Promise<boolean> {
    const { clock, random, issue } = this.#deps;
    try {
      const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
      const chain = await issue(buildCertificateRequest(privateKey));
      const [leaf = new Uint8Array()] = chain;
      const { notAfterMs } = parseCallerSvid(leaf);
      const nowMs = clock.nowMs();
      if (!this.isGood(notAfterMs))
        throw new Error(`it ended at ${new Date(notAfterMs).toISOString()}, before now by this machine's clock`);
      const privateKeyPem = privateKey.export({ format: "pem", type: "pkcs8" }).toString();
      const chainPem = toPem(chain);
      createSecureContext({ key: privateKeyPem, cert: chainPem }); // fails on a certificate that is another key's
      this.#renewAtMs = nowMs + ((notAfterMs - nowMs) * (1.9 + 0.2 * random())) / 3;
      this.#credentials = { privateKeyPem, chainPem, notAfterMs };
      return true;
    } catch (error) {
      const isOlder = (error as Partial<ServiceError>).code === status.UNIMPLEMENTED;
      const why = isOlder ? "the control plane that was asked is of a version without direct reads" : messageOf(error);
      this.#problem = `no certificate: ${why}`;
      return false;
    }
  }
}
