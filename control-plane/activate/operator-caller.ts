import type { SpiffeId } from "../../core/identity.js";

/** An operator, authorized. */
export interface OperatorCaller {
  readonly id: SpiffeId;
  readonly source: string;
  /** Of the certificate that it came with. */
  readonly certificateSerial?: string;
}
