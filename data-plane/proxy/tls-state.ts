import { X509Certificate } from "node:crypto";
import type { SecureContextOptions, TLSSocket } from "node:tls";
import { AshlarError } from "../../core/errors.js";
import type { Clock } from "../../runtime/clock.js";
import { peerSvid, type Svid } from "../../runtime/tls-identity.js";
import type { IdentityView, TrustView } from "../ports.js";

/** The proxy's own credentials and what it thinks of others', as of now. */
export class TlsState {
  readonly #identity: IdentityView;
  readonly #trust: TrustView;
  readonly #clock: Clock;
  #rootsFrom: readonly string[] | undefined;
  #rootsDer: readonly Uint8Array[] = [];

  constructor(deps: { readonly identity: IdentityView; readonly trust: TrustView; readonly clock: Clock }) {
    this.#identity = deps.identity;
    this.#trust = deps.trust;
    this.#clock = deps.clock;
  }

  /** For handshakes in either role. */
  context(): SecureContextOptions {
    const { certificateChainPem, privateKeyPem } = this.#identity.current;
    return { cert: certificateChainPem, key: privateKeyPem, ca: [...this.#trust.rootsPem] };
  }

  /** Who is at the other end, by the roots of this mesh and no others. Fails with `invalid_identity` or `unauthenticated`. */
  verify(socket: TLSSocket): Svid {
    const { mesh } = this.#identity.current;
    if (socket.destroyed) throw new AshlarError("unauthenticated", "the connection is closed");
    return peerSvid(
      socket,
      {
        rootsOf: (domain) => (domain === mesh ? this.#roots() : []),
        isRevoked: (serial) => this.#trust.isRevoked(serial),
      },
      this.#clock.nowMs(),
    );
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
