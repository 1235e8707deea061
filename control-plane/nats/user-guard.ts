/**
 * Ends NATS users before their time, over the system account of the private server. Users of revoked proxies are named
 * in the account's JWT, so that they cannot come back; updating it ends the connections of those users and no others.
 * If a user has more connections than a proxy makes, the excess ones are ended: one by one if the server can do that
 * (2.10 or later), otherwise together with all others of that user.
 */
import { BoundedMap } from "../../core/bounded-map.js";
import { isAshlarError, messageOf } from "../../core/errors.js";
import { onAbort } from "../../runtime/abort.js";
import { Backoff } from "../../runtime/backoff.js";
import type { SystemBus } from "../../runtime/bus.js";
import type { Clock } from "../../runtime/clock.js";
import type { Logger } from "../../runtime/log.js";
import { connectNatsSystem } from "../../runtime/nats.js";
import { createNatsUserKey } from "../../runtime/nats-user-keys.js";
import { mintUser } from "../../runtime/nats-users.js";
import type { NatsServer } from "./nats-server.js";
import { type ClientInfo, type Listed, type Place, parse, placeOf } from "./system-messages.js";
import {
  type ConnectedUser,
  chooseKept,
  connectionId,
  connectionsMax,
  type Excess,
  noteConnection,
  renderExcess,
  type UserConnection,
} from "./user-connections.js";

export interface UserGuardDeps {
  readonly server: Pick<NatsServer, "url" | "accounts" | "systemAccount" | "revoked" | "proxiesClaims">;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface UserGuard {
  /**
   * Revokes every user of a proxy: those in `keys`, those that are connected, and those that appear later. It is on
   * disk when this returns.
   */
  revokeProxy(proxyId: string, keys: readonly string[]): void;
  /** Resolves when the server knows all earlier revocations. */
  settled(): Promise<void>;
  /** Returns the present problems, one line each. */
  problems(): readonly string[];
  close(): Promise<void>;
}

const lookMs = 60_000;
const remintMs = 3_600_000;
const userMs = 24 * 3_600_000;
const excessToldMs = 3_600_000;
const excessSaidEveryMs = 60_000;
const page = 1024;
const usersMax = 100_000;

export async function openUserGuard(deps: UserGuardDeps): Promise<UserGuard> {
  const { systemAccount, accounts, url } = deps.server;
  const key = createNatsUserKey();
  const inboxPrefix = "_INBOX_guard";
  const events = ["CONNECT", "DISCONNECT"].map((event) => `$SYS.ACCOUNT.${accounts.proxies.publicKey}.${event}`);
  const list = `$SYS.REQ.ACCOUNT.${accounts.proxies.publicKey}.CONNZ`;
  const mint = () =>
    mintUser({
      accountSeed: systemAccount.seed,
      accountPublicKey: systemAccount.publicKey,
      name: "control-plane",
      userPublicKey: key.publicKey,
      expiresMs: deps.clock.nowMs() + userMs,
      permissions: { publish: [list, updateSubject, kickSubject("*")], subscribe: [...events, `${inboxPrefix}.>`] },
    });
  let jwt = await mint();
  const bus = connectNatsSystem({
    servers: [url],
    jwt: () => jwt,
    seed: () => key.seed,
    inboxPrefix,
    name: "control-plane-system",
    log: deps.log,
    clock: deps.clock,
  });
  const guard = new Guard(deps, bus, list);
  guard.start(events, async () => {
    jwt = await mint();
  });
  return guard;
}

const updateSubject = "$SYS.REQ.CLAIMS.UPDATE";
const kickSubject = (server: string): string => `$SYS.REQ.SERVER.${server}.KICK`;

class Guard implements UserGuard {
  readonly #deps: UserGuardDeps;
  readonly #bus: SystemBus;
  readonly #list: string;
  readonly #users = new BoundedMap<string, ConnectedUser>(usersMax);
  readonly #stop = new AbortController();
  readonly #excess = new Map<string, Excess>();
  #loops: Promise<unknown> = Promise.resolve();
  #wanted = 0;
  #applied = 0;
  #wake = new AbortController();
  #waiting: (() => void)[] = [];
  #failure: string | undefined;

  constructor(deps: UserGuardDeps, bus: SystemBus, list: string) {
    this.#deps = deps;
    this.#bus = bus;
    this.#list = list;
  }

  start([connects = "", disconnects = ""]: readonly string[], remint: () => Promise<void>): void {
    const { clock } = this.#deps;
    const { signal } = this.#stop;
    const read = async (subject: string, take: (event: Readonly<Record<string, unknown>>) => void) => {
      for await (const message of this.#bus.subscribe(subject, { queueMax: 8192 })) {
        try {
          take(parse(message));
        } catch (error) {
          this.#deps.log.debug("an event of NATS is not read", { error: messageOf(error) });
        }
      }
    };
    const look = () => this.#look().catch((error: unknown) => this.#complain(error));
    const looking = async () => {
      while (!signal.aborted) {
        if (this.#bus.connected) await look();
        await clock.sleep(lookMs, signal);
      }
    };
    const reminting = async () => {
      while (!signal.aborted) {
        await clock.sleep(remintMs, signal);
        if (!signal.aborted) await remint();
      }
    };
    const stopStatus = this.#bus.onStatus(({ connected }) => connected && void look());
    onAbort(signal, stopStatus);
    const following = [
      read(connects, (event) => this.#connected(placeOf(event), event.client as ClientInfo)),
      read(disconnects, (event) => this.#gone(placeOf(event), event.client as ClientInfo)),
    ];
    this.#loops = Promise.all([...following, looking(), reminting(), this.#apply()]);
  }

  revokeProxy(proxyId: string, keys: readonly string[]): void {
    const { revoked } = this.#deps.server;
    const connected = [...this.#users].filter(([, one]) => one.proxyId === proxyId).map(([key]) => key);
    revoked.addProxy(proxyId);
    if (revoked.addUsers([...new Set([...keys, ...connected])])) this.#changed();
  }

  settled(): Promise<void> {
    if (this.#applied === this.#wanted) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  problems(): readonly string[] {
    const nowMs = this.#deps.clock.nowMs();
    for (const [user, { atMs }] of this.#excess) if (nowMs - atMs > excessToldMs) this.#excess.delete(user);
    const excess = [...this.#excess.values()].map(renderExcess);
    return this.#failure === undefined
      ? excess
      : [...excess, `NATS does not know yet who was revoked: ${this.#failure}`];
  }

  async close(): Promise<void> {
    this.#stop.abort();
    this.#wake.abort();
    await this.#bus.close();
    await this.#loops;
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  #changed(): void {
    this.#wanted += 1;
    this.#wake.abort();
  }

  /** Sends the revocations to the server until it acknowledges them. */
  async #apply(): Promise<void> {
    const { clock, server, log } = this.#deps;
    const { signal } = this.#stop;
    const backoff = new Backoff({ msMin: 50, msMax: 5000 });
    while (!signal.aborted) {
      this.#wake = new AbortController();
      if (this.#applied === this.#wanted) await clock.sleep(lookMs, this.#wake.signal);
      if (signal.aborted || this.#applied === this.#wanted) continue;
      const version = this.#wanted;
      try {
        const { jwt } = await server.proxiesClaims();
        const answer = parse(await this.#bus.ask(updateSubject, jwt));
        const { code, message } = (answer.data ?? answer.error ?? {}) as { code?: number; message?: string };
        if (code !== 200) throw new Error(message ?? "no answer that can be read");
        this.#applied = version;
        this.#failure = undefined;
        backoff.reset();
        if (version === this.#wanted) for (const resolve of this.#waiting.splice(0)) resolve();
      } catch (error) {
        this.#failure = messageOf(error);
        if (this.#bus.connected) log.warn("cannot tell NATS which users are revoked", { error: this.#failure });
        await clock.sleep(backoff.nextMs(), signal);
      }
    }
  }

  /** Reads every connection of the account from the server; events report later ones. */
  async #look(): Promise<void> {
    const seen = new Map<string, ConnectedUser>();
    for (let offset = 0; ; offset += page) {
      const answer = parse(await this.#bus.ask(this.#list, JSON.stringify({ auth: true, offset, limit: page })));
      const data = (answer.data ?? answer) as { server_id?: string; connections?: readonly Listed[]; total?: number };
      const { server_id: server = "", connections = [], total = 0 } = data;
      for (const { cid: client, authorized_user: user = "", jwt = "" } of connections)
        noteConnection(seen, { user, jwt, server, client });
      if (connections.length < page || offset + page >= total) break;
    }
    for (const user of this.#users.keys()) if (!seen.has(user)) this.#users.delete(user);
    for (const [user, connected] of seen) {
      this.#users.set(user, connected);
      this.#judge(user);
    }
  }

  #connected(place: Place, { user = "", jwt = "" }: ClientInfo): void {
    noteConnection(this.#users, { user, jwt, ...place });
    this.#judge(user);
  }

  #gone({ server, client }: Place, { user = "" }: ClientInfo): void {
    const known = this.#users.get(user);
    known?.connections.delete(connectionId(server, client));
    if (known?.connections.size === 0) this.#users.delete(user);
  }

  /** Revokes a user that must not be connected, and ends connections above the limit. */
  #judge(user: string): void {
    const known = this.#users.get(user);
    if (known === undefined) return;
    if (this.#deps.server.revoked.hasProxy(known.proxyId)) return void this.#refuse(user);
    if (known.connections.size <= connectionsMax) return;
    const excess = this.#noteExcess(user, known.proxyId);
    const kept = chooseKept(known);
    const others = [...known.connections].filter(([, connection]) => !kept.has(connection));
    for (const [id] of others) known.connections.delete(id);
    void this.#kick(others.map(([, connection]) => connection))
      .catch((error: unknown) => {
        if (!this.#bus.connected) return; // all connections are examined again after a reconnect
        this.#deps.log.debug("NATS ends no connections one by one", { error: messageOf(error) });
        excess.refused = true;
        this.#refuse(user);
      })
      .then(() => this.#say(excess));
  }

  #refuse(user: string): void {
    this.#users.delete(user);
    this.#deps.server.revoked.addUsers([user]);
    this.#changed();
  }

  #noteExcess(user: string, proxyId: string): Excess {
    const { saidMs = Number.NEGATIVE_INFINITY, refused = false } = this.#excess.get(user) ?? {};
    const excess: Excess = { proxyId, atMs: this.#deps.clock.nowMs(), saidMs, refused };
    this.#excess.set(user, excess);
    return excess;
  }

  #say(excess: Excess): void {
    const nowMs = this.#deps.clock.monotonicMs();
    if (nowMs - excess.saidMs < excessSaidEveryMs) return;
    excess.saidMs = nowMs;
    this.#deps.log.error(renderExcess(excess));
  }

  /** Ends connections. Fails with `unavailable` if the server cannot do that. */
  async #kick(connections: readonly UserConnection[]): Promise<void> {
    for (const { server, client } of connections) {
      if (this.#stop.signal.aborted) return;
      // the answer for a connection that is gone contains an error
      await this.#bus.ask(kickSubject(server), JSON.stringify({ cid: client }));
    }
  }

  #complain(error: unknown): void {
    if (isAshlarError(error, "unavailable") && !this.#bus.connected) return;
    this.#deps.log.warn("cannot list the connections of NATS", { error: messageOf(error) });
  }
}
