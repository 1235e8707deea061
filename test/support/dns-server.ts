/** A DNS server on loopback that answers A questions from a table and says of other names that they do not exist. */
import { createSocket, type Socket } from "node:dgram";
import type { AddressInfo } from "node:net";

export class TestDns {
  /** The IPv4 addresses by host. */
  readonly hosts = new Map<string, readonly string[]>();
  ttlSeconds = 60;
  readonly asked: string[] = [];
  readonly #socket: Socket = createSocket("udp4");

  /** Returns "HOST:PORT". */
  async listen(): Promise<string> {
    this.#socket.on("message", (query, from) => this.#socket.send(this.#answer(query), from.port, from.address));
    await new Promise<void>((resolve) => this.#socket.bind(0, "127.0.0.1", resolve));
    return `127.0.0.1:${(this.#socket.address() as AddressInfo).port}`;
  }

  close(): void {
    this.#socket.close();
  }

  #answer(query: Buffer): Buffer {
    let at = 12;
    const labels: string[] = [];
    for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
      labels.push(query.toString("latin1", at + 1, at + 1 + length));
      at += 1 + length;
    }
    const type = query.readUInt16BE(at + 1);
    const host = labels.join(".").toLowerCase();
    this.asked.push(host);
    const known = this.hosts.get(host);
    const addresses = type === 1 ? (known ?? []) : [];
    const head = Buffer.alloc(12);
    query.copy(head, 0, 0, 2);
    head.writeUInt16BE(known === undefined ? 0x8183 : 0x8180, 2);
    head.writeUInt16BE(1, 4);
    head.writeUInt16BE(addresses.length, 6);
    const records = addresses.map((address) => {
      const record = Buffer.alloc(16);
      record.writeUInt16BE(0xc00c, 0);
      record.writeUInt16BE(1, 2);
      record.writeUInt16BE(1, 4);
      record.writeUInt32BE(this.ttlSeconds, 6);
      record.writeUInt16BE(4, 10);
      Buffer.from(address.split(".").map(Number)).copy(record, 12);
      return record;
    });
    return Buffer.concat([head, query.subarray(12, at + 5), ...records]);
  }
}
