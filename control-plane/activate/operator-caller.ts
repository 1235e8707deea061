import type { SpiffeId } from "../../core/identity.js";

/** An operator, authorized. */
export interface OperatorCaller {
  readonly id: SpiffeId;
  readonly source: string;
  /** The serial number of the certificate that the operator came with. */
  readonly certificateSerial?: string;
}
