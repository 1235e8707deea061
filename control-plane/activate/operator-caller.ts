import type { SpiffeId } from "../../core/identity.js";

/** An operator whose right to call was checked. */
export interface OperatorCaller {
  readonly id: SpiffeId;
  readonly source: string;
  /** The serial number of the operator's certificate. */
  readonly certificateSerial?: string;
  /** When that certificate expires, in Unix milliseconds. */
  readonly certificateExpiresMs?: number;
  /** True if the call came through a session of the console. */
  readonly viaConsole?: boolean;
}
