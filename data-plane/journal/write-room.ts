/** The memory that all journaled writes of one process share: requests, from their first byte on, and responses. */

/** The bytes for a proxy; its workers share them equally. */
export const roomBytesDefault = 128 * 1024 * 1024;
/**
 * The bytes that each write reserves for its response before anything is appended, so that an ordinary response always
 * finds room.
 */
export const responseReserveBytes = 16 * 1024;

export class WriteRoom {
  readonly bytesMax: number;
  #bytes = 0;

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Takes bytes. Returns false, and takes nothing, if there is no room. */
  take(bytes: number): boolean {
    if (this.#bytes + bytes > this.bytesMax) return false;
    this.#bytes += bytes;
    return true;
  }

  give(bytes: number): void {
    this.#bytes -= bytes;
  }
}

/** The room of one write. */
export class RoomShare {
  readonly #room: WriteRoom;
  #granted = 0;
  #used = 0;
  #isOver = false;

  constructor(room: WriteRoom) {
    this.#room = room;
  }

  /** Reserves room for later. Returns false if there is none. */
  reserve(bytes: number): boolean {
    if (this.#isOver || !this.#room.take(bytes)) return false;
    this.#granted += bytes;
    return true;
  }

  /** Uses reserved room, then takes more. Returns false if there is no room for these bytes. */
  use(bytes: number): boolean {
    const lacking = this.#used + bytes - this.#granted;
    if (lacking > 0 && !this.reserve(lacking)) return false;
    this.#used += bytes;
    return true;
  }

  /** Gives all room back; later uses find no room. */
  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#room.give(this.#granted);
    this.#granted = 0;
  }
}
