import type { SpiffeId } from "../../core/identity.js";

/** An operator, authorized. */
export interface OperatorCaller {
  readonly id: SpiffeId;
  readonly source: string;
  /** The serial number of the certificate that the operator came with. */
  readonly certificateSerial?: string;
  /** Unix time in milliseconds at which that certificate ends. */
  readonly certificateExpiresMs?: number;
  /** True: it came by a session of the console. */
  readonly viaConsole?: boolean;
}
