import { errorCode, frameBytesMax, initialWindow, settingId, windowMax } from "./protocol.js";

/** The peer's settings; until it announces them, the defaults of RFC 9113, 6.5.2. */
export class PeerSettings {
  headerTableSize = 4096;
  enablePush = 1;
  /** Until the peer announces it: what nearly every peer allows. */
  maxConcurrentStreams = 100;
  initialWindowSize = initialWindow;
  maxFrameSize = frameBytesMax;
  maxHeaderListSize = Number.POSITIVE_INFINITY;

  /** Applies one setting. Returns the error code for an invalid value, or 0. Unknown settings have no effect. */
  apply(id: number, value: number, fromServer: boolean): number {
    switch (id) {
      case settingId.headerTableSize:
        this.headerTableSize = value;
        return 0;
      case settingId.enablePush:
        if (value > 1 || (fromServer && value !== 0)) return errorCode.protocolError;
        this.enablePush = value;
        return 0;
      case settingId.maxConcurrentStreams:
        this.maxConcurrentStreams = value;
        return 0;
      case settingId.initialWindowSize:
        if (value > windowMax) return errorCode.flowControlError;
        this.initialWindowSize = value;
        return 0;
      case settingId.maxFrameSize:
        if (value < frameBytesMax || value > 0xff_ffff) return errorCode.protocolError;
        this.maxFrameSize = value;
        return 0;
      case settingId.maxHeaderListSize:
        this.maxHeaderListSize = value;
        return 0;
      default:
        return 0;
    }
  }
}
