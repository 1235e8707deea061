import { X509Certificate } from "node:crypto";
import type { Duplex } from "node:stream";
import { type SecureContextOptions, TLSSocket } from "node:tls";
import { AshlarError } from "../../core/errors.js";
import type { Clock } from "../../runtime/clock.js";
import { checkRevocation, parseCallerSvid, type Svid, verifySvidChain } from "../../runtime/tls-identity.js";
import type { CallIdentityView, TrustView } from "../ports.js";

const chainMax = 4;

/** The proxy's own credentials for TLS, and its present judgement of other identities. */
export class TlsState {
  readonly #identity: CallIdentityView;
  readonly #trust: TrustView;
  readonly #clock: Clock;
  /** The certificates that each peer presented. They are kept because Node returns the intermediates only once. */
  readonly #chains = new WeakMap<TLSSocket, readonly Uint8Array[]>();
  #rootsFrom: readonly string[] | undefined;
  #rootsDer: readonly Uint8Array[] = [];

  constructor(deps: { readonly identity: CallIdentityView; readonly trust: TrustView; readonly clock: Clock }) {
    this.#identity = deps.identity;
    this.#trust = deps.trust;
    this.#clock = deps.clock;
  }

  /** The TLS context for handshakes in either role. */
  context(): SecureContextOptions {
    const { certificateChainPem, privateKeyPem } = this.#identity.current;
    return { cert: certificateChainPem, key: privateKeyPem, ca: [...this.#trust.rootsPem] };
  }

  /**
   * Returns the identity at the other end, verified now against this mesh's roots alone. May be called again while the
   * connection is open. Fails with `invalid_identity` or `unauthenticated`.
   */
  verify(socket: TLSSocket): Svid {
    return this.#verify(socket, undefined);
  }

  /** The same for who calls this proxy: it may also be an application that reads directly. */
  verifyCaller(socket: TLSSocket): Svid {
    return this.#verify(socket, parseCallerSvid);
  }

  #verify(socket: TLSSocket, parse: typeof parseCallerSvid | undefined): Svid {
    const { mesh } = this.#identity.current;
    if (socket.destroyed) throw new AshlarError("unauthenticated", "the connection is closed");
    const svid = verifySvidChain(
      this.#chainOf(socket),
      (domain) => (domain === mesh ? this.#roots() : []),
      this.#clock.nowMs(),
      parse,
    );
    return checkRevocation(svid, this.#trust);
  }

  /** Whether `verify` would still succeed for an open connection to a peer. */
  isVerified(socket: Duplex): boolean {
    if (!(socket instanceof TLSSocket)) return false;
    try {
      this.verify(socket);
      return true;
    } catch {
      return false;
    }
  }

  #chainOf(socket: TLSSocket): readonly Uint8Array[] {
    const known = this.#chains.get(socket);
    if (known !== undefined) return known;
    const chain: Uint8Array[] = [];
    for (let one = socket.getPeerX509Certificate(); one !== undefined && chain.length <= chainMax; ) {
      const previous = chain.at(-1);
      if (previous !== undefined && one.raw.equals(previous)) break; // a root is its own issuer
      chain.push(one.raw);
      one = one.issuerCertificate;
    }
    if (chain.length === 0) throw new AshlarError("unauthenticated", "the peer sent no certificate");
    this.#chains.set(socket, chain);
    return chain;
  }

  #roots(): readonly Uint8Array[] {
    const { rootsPem } = this.#trust;
    if (rootsPem !== this.#rootsFrom) {
      this.#rootsDer = rootsPem.map((pem) => new Uint8Array(new X509Certificate(pem).raw));
      this.#rootsFrom = rootsPem;
    }
    return this.#rootsDer;
  }
}
