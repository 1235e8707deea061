/** The memory that journaled writes of one process have together: requests, from their first byte on, and responses. */

/** The bytes of a proxy; workers share them in equal parts. */
export const roomBytesDefault = 128 * 1024 * 1024;
/** What each write takes for its response before anything is appended, so that an ordinary one surely finds room. */
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

  /** False: there is no room for that much more, and nothing is taken. */
  take(bytes: number): boolean {
    if (this.#bytes + bytes > this.bytesMax) return false;
    this.#bytes += bytes;
    return true;
  }

  give(bytes: number): void {
    this.#bytes -= bytes;
  }
}

/** What one write has of it. */
export class RoomShare {
  readonly #room: WriteRoom;
  #granted = 0;
  #used = 0;
  #isOver = false;

  constructor(room: WriteRoom) {
    this.#room = room;
  }

  /** Takes room that is used later. False: there is none. */
  reserve(bytes: number): boolean {
    if (this.#isOver || !this.#room.take(bytes)) return false;
    this.#granted += bytes;
    return true;
  }

  /** Uses what is reserved, then takes more. False: there is no room for these bytes. */
  use(bytes: number): boolean {
    const lacking = this.#used + bytes - this.#granted;
    if (lacking > 0 && !this.reserve(lacking)) return false;
    this.#used += bytes;
    return true;
  }

  /** Gives all of it back; what is used afterwards finds no room. */
  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#room.give(this.#granted);
    this.#granted = 0;
  }
}
