/** The PINGs that we send. Their answers are told apart by the first byte. */

/** Asks whether the peer is still there. */
export const keepalivePing = Uint8Array.of(0x61, 0x6c, 0x69, 0x76, 0x65, 0, 0, 0);
/** Follows the first GOAWAY of a shutdown; its answer shows that the peer has read the GOAWAY. */
export const drainPing = Uint8Array.of(0x64, 0x72, 0x61, 0x69, 0x6e, 0, 0, 0);
