/** A journal's stream on a real nats-server, with a proxy's writer to it. */
import { randomBytes } from "node:crypto";
import { digestOf } from "../../core/digest.js";
import type { JournalHolder } from "../../core/model.js";
import type { KeySet } from "../../core/signature.js";
import { encodeOutcome, type JournalOutcome } from "../../core/wire/journal/outcome.js";
import { journaledPrefix, journalPrefix, journalStream, journalSubject } from "../../core/wire/subjects.js";
import { freeFeedPath, openFeed } from "../../data-plane/feed/open-feed.js";
import { Journal } from "../../data-plane/journal/journal.js";
import { onAbort } from "../../runtime/abort.js";
import type { Bus, StoredMessage, StreamSpec } from "../../runtime/bus.js";
import { systemClock } from "../../runtime/clock.js";
import { silentLogger } from "../../runtime/log.js";
import { startTestNats, type TestNats } from "./nats.js";
import type { FakePolicy } from "./proxy-fakes.js";
import { StatementPki, writerOf } from "./statements.js";
import { until, untilTrue } from "./until.js";

const inbox = "_INBOX_journal";
const everything = { publish: ["$JS.API.>", "ashlar.>"], subscribe: [`${inbox}.>`, "ashlar.>"] };

export class JournalNats {
  readonly nats: TestNats;
  readonly bus: Bus;
  readonly service: string;
  readonly #pki = new StatementPki();
  readonly #stop = new AbortController();

  private constructor(nats: TestNats, bus: Bus, service: string) {
    this.nats = nats;
    this.bus = bus;
    this.service = service;
  }

  /** Starts a server with the stream. `isLocked`: its messages cannot be purged, like a real journal's. */
  static async start(
    service: string,
    program?: string,
    maxBytes?: number,
    isLocked = true,
    cluster = false,
  ): Promise<JournalNats> {
    const nats = await startTestNats({ streams: false, cluster, ...(program !== undefined && { program }) });
    const bus = await nats.connect(await nats.user(everything, inbox), { timeoutMs: 1000 });
    const spec: StreamSpec = {
      name: journalStream(service),
      subjects: [`${journalPrefix(service)}.>`],
      replicas: cluster ? 3 : 1,
      discard: "new",
      discardNewPerSubject: false,
      maxMessagesPerSubject: undefined,
      maxBytes,
      maxMessageBytes: undefined,
      denyDelete: true,
      denyPurge: isLocked,
      allowDirect: true,
      republish: { from: `${journalPrefix(service)}.>`, to: `${journaledPrefix(service)}.>` },
    };
    // a cluster that has just begun has no leader yet
    if (cluster) await untilTrue(() => bus.createStream(spec).then(() => true), 60_000);
    else await bus.createStream(spec);
    return new JournalNats(nats, bus, service);
  }

  /** Opens a connection to one of the servers only. */
  async connectTo(server: number): Promise<Bus> {
    const user = await this.nats.user(everything, inbox);
    return this.nats.connect(user, { timeoutMs: 1000, urls: [this.nats.urls[server] ?? ""] });
  }

  /** The holder of private fields in the trust log. */
  holder: JournalHolder | undefined;

  /** Opens a journal as one run of a proxy of the service. */
  open(
    policy: FakePolicy,
    proxyId: string,
    bus: Pick<Bus, "append" | "directGet"> = this.bus,
    limits: { readonly writesMax?: number; readonly roomBytes?: number; readonly tookOver?: boolean } = {},
  ): Journal {
    const current = this.#pki.issue(this.service, proxyId);
    const statements = writerOf(current);
    const identity = { current, onRotate: () => () => {} };
    const known = {
      reader: this.#pki.reader(),
      keys: () => new Map(),
      holder: () => this.holder,
      clock: systemClock,
      log: silentLogger,
      signal: this.#stop.signal,
    };
    const deps = { bus, identity, statements, policy, random: randomBytes, tookOver: false, ...known, ...limits };
    return new Journal(deps, this.service);
  }

  /**
   * Serves the event feed on a socket in this folder until `stop`. Returns the socket's path. `keys` verify operators'
   * records.
   */
  async feed(folder: string, keys: KeySet = new Map()): Promise<string> {
    const path = await freeFeedPath(folder);
    const known = { reader: this.#pki.reader(), mesh: this.#pki.mesh, keys: () => keys, random: Math.random };
    const deps = { ...known, bus: this.bus, clock: systemClock, log: silentLogger };
    const server = await openFeed(deps, this.service, path);
    onAbort(this.#stop.signal, () => void server.stop(0));
    return path;
  }

  /** Appends a proxy's record of how an entry ended, whether true or not. */
  async settle(
    proxyId: string,
    key: string,
    about: Pick<JournalOutcome, "entry" | "entryDigest"> & Partial<JournalOutcome>,
  ): Promise<void> {
    const response = Buffer.alloc(0);
    const body = encodeOutcome({
      ...{ service: this.service, proxyId, timeMs: 5, code: 0, head: [], trailers: [], confirms: [] },
      ...{ response, responseDigest: digestOf(response), responseBytes: 0, notForwarded: false, behind: 0 },
      ...about,
    });
    const headers = writerOf(this.#pki.issue(this.service, proxyId)).sign("journal", body);
    await this.bus.append(journalSubject(this.service, "outcome", key), body, { headers });
  }

  /** Drops what is before a sequence, as an operator with retention does. */
  async dropBefore(sequence: number): Promise<void> {
    const name = journalStream(this.service);
    this.bus.publish(`$JS.API.STREAM.PURGE.${name}`, Buffer.from(JSON.stringify({ seq: sequence })));
    await this.bus.flush();
    const isGone = async () => (await this.bus.streamInfo(name))?.firstSequence === sequence;
    await until("the messages are gone", isGone);
  }

  /** Returns all stored messages in order. */
  async stored(): Promise<readonly StoredMessage[]> {
    const found: StoredMessage[] = [];
    for (let from = 1; ; ) {
      const next = await this.bus.directGet(journalStream(this.service), {
        nextOf: `${journalPrefix(this.service)}.>`,
        from,
      });
      if (next === undefined) return found;
      found.push(next);
      from = next.sequence + 1;
    }
  }

  stop(): Promise<void> {
    this.#stop.abort();
    return this.nats.stop();
  }
}
