/** Ending NATS users before their time: at once, for good, and nobody else's connection. */
import { execFileSync } from "node:child_process";
import { afterEach, describe, expect, test } from "@jest/globals";
import { decode } from "@nats-io/jwt";
import { connectionsMax } from "../../../control-plane/nats/user-connections.js";
import { openUserGuard, type UserGuard } from "../../../control-plane/nats/user-guard.js";
import { heartbeatSubject } from "../../../core/wire/subjects.js";
import { systemClock } from "../../../runtime/clock.js";
import { silentLogger } from "../../../runtime/log.js";
import { proxyPermissions } from "../../../runtime/nats-permissions.js";
import { mintUser } from "../../../runtime/nats-users.js";
import { startTestNats, type TestNats } from "../../support/nats.js";
import { natsPrograms } from "../../support/nats-programs.js";
import { RawNats } from "../../support/raw-nats.js";
import { untilTrue } from "../../support/until.js";

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function guardOf(nats: TestNats): Promise<UserGuard> {
  const [server] = nats.servers;
  if (server === undefined) throw new Error("no server");
  const guard = await openUserGuard({ server, clock: systemClock, log: silentLogger });
  cleanups.push(() => guard.close());
  return guard;
}

async function start(program: string): Promise<TestNats> {
  const nats = await startTestNats({ streams: false, program });
  cleanups.push(() => nats.stop());
  return nats;
}

/** What the proxy gets when it renews. */
function mintAgain(nats: TestNats, userPublicKey: string): Promise<string> {
  const { seed, publicKey } = nats.servers[0]?.accounts.proxies ?? { seed: "", publicKey: "" };
  return mintUser({
    accountSeed: seed,
    accountPublicKey: publicKey,
    userPublicKey,
    name: "p1",
    expiresMs: Date.now() + 60_000,
    permissions: proxyPermissions("payments", "p1"),
  });
}

const testWhere = (holds: boolean) => (name: string, run: () => Promise<void>) => {
  if (holds) test(name, run);
};

const issuedAt = (jwt: string): number => decode(jwt).iat;

for (const { name, program } of natsPrograms) {
  describe(`a revoked proxy on ${name}`, () => {
    test("its connection ends at once and it cannot come back, nobody else's does, also after a restart of NATS", async () => {
      const nats = await start(program);
      const guard = await guardOf(nats);
      const [user, other] = [await nats.proxyUser("payments", "p1"), await nats.proxyUser("payments", "p2")];
      const [revoked, honest, plane] = [
        await nats.connect(user),
        await nats.connect(other),
        await nats.connect(await nats.controlPlaneUser()),
      ];
      const lost: string[] = [];
      honest.onStatus(({ connected }) => !connected && lost.push("p2"));
      plane.onStatus(({ connected }) => !connected && lost.push("control plane"));
      const fromMs = performance.now();
      const ended = new Promise<number>((resolve) => {
        revoked.onStatus(({ connected }) => !connected && resolve(performance.now() - fromMs));
      });
      guard.revokeProxy("p1", [user.publicKey]);
      await guard.settled();
      console.info(`the connection ended after ${(await ended).toFixed(1)} ms`);
      await untilTrue(() => revoked.refusal !== undefined);
      await honest.flush();
      await plane.flush();
      expect(lost).toEqual([]);

      const pid = nats.servers[0]?.pid ?? 0;
      process.kill(pid, "SIGKILL"); // the supervisor brings it back
      await untilTrue(() => nats.servers[0]?.pid !== undefined && nats.servers[0].pid !== pid && honest.connected);
      await honest.flush();
      const again = await RawNats.open(nats.url, user);
      await untilTrue(() => again.isClosed);
      expect(revoked.connected).toBe(false);
    });

    test("a user that its key does not tell of ends when it turns up, and what was connected before by its name", async () => {
      const nats = await start(program);
      const before = await nats.connect(await nats.proxyUser("payments", "p1"));
      const guard = await guardOf(nats);
      // some other control plane minted these: this one knows no key
      await untilTrue(async () => {
        guard.revokeProxy("p1", []);
        await guard.settled();
        return !before.connected;
      });
      const later = await RawNats.open(nats.url, await nats.proxyUser("payments", "p1"));
      await untilTrue(() => later.isClosed);
      const honest = await nats.connect(await nats.proxyUser("payments", "p11"));
      await honest.flush();
    });
  });

  describe(`connections of one user on ${name}`, () => {
    const kicks = Number(/v2\.(\d+)/.exec(execFileSync(program, ["--version"], { encoding: "utf8" }))?.[1]) >= 10;
    testWhere(kicks)("too many are ended, the proxy's own and others' stay", async () => {
      const nats = await start(program);
      const guard = await guardOf(nats);
      const [user, other] = [await nats.proxyUser("payments", "p1"), await nats.proxyUser("payments", "p2")];
      const bystanders = [await nats.connect(user), await nats.connect(other)];
      const lost: number[] = [];
      for (const [place, bus] of bystanders.entries()) bus.onStatus(({ connected }) => !connected && lost.push(place));
      const open = () => Promise.all(Array.from({ length: connectionsMax }, () => RawNats.open(nats.url, user)));
      for (let round = 0; round < 3; round += 1) {
        const thief = await open();
        await untilTrue(() => thief.every((one) => one.isClosed));
      }
      for (const bus of bystanders) await bus.flush();
      expect(lost).toEqual([]);
      expect(guard.problems()).toEqual([expect.stringMatching(/^proxy p1 had more than 32 .* its own stays;/)]);
    });

    testWhere(kicks)("who came back with a later credential stays too", async () => {
      const nats = await start(program);
      await guardOf(nats);
      const stolen = await nats.proxyUser("payments", "p1");
      const first = await RawNats.open(nats.url, stolen);
      await untilTrue(() => Math.floor(Date.now() / 1000) > issuedAt(stolen.jwt)); // in whole seconds
      const renewed = await nats.connect({ ...stolen, jwt: await mintAgain(nats, stolen.publicKey) });
      const lost: string[] = [];
      renewed.onStatus(({ connected }) => !connected && lost.push("p1"));
      const thief = await Promise.all(Array.from({ length: connectionsMax - 1 }, () => RawNats.open(nats.url, stolen)));
      await untilTrue(() => thief.every((one) => one.isClosed));
      await renewed.flush();
      expect(lost).toEqual([]);
      expect(first.isClosed).toBe(false);
    });

    testWhere(!kicks)(
      `more than ${connectionsMax} end, others' stay; the proxy comes back with its next credential`,
      async () => {
        const nats = await start(program);
        const guard = await guardOf(nats);
        const honest = await nats.connect(await nats.proxyUser("payments", "p2"));
        const thief = await nats.proxyUser("payments", "p1");
        const some = await Promise.all(Array.from({ length: connectionsMax }, () => RawNats.open(nats.url, thief)));
        await honest.flush();
        expect(guard.problems()).toEqual([]);
        const many: RawNats[] = [];
        for (let round = 0; round < 30 && guard.problems().length === 0; round += 1) {
          many.push(...(await Promise.all(Array.from({ length: 20 }, () => RawNats.open(nats.url, thief)))));
        }
        await untilTrue(() => [...some, ...many].every((one) => one.isClosed));
        await untilTrue(async () => {
          const next = await RawNats.open(nats.url, { ...thief, jwt: await mintAgain(nats, thief.publicKey) });
          return !next.isClosed;
        });
        expect(guard.problems()).toEqual([expect.stringMatching(/^proxy p1 had more than 32 connections to NATS/)]);
        expect(honest.publish(heartbeatSubject("payments", "p2"), new Uint8Array([1]))).toBe(true);
        await honest.flush();
      },
    );
  });
}
