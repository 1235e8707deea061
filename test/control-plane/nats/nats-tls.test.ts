import { execFileSync } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { readServerName } from "../../../control-plane/nats/nats-probe.js";
import { startNatsServer } from "../../../control-plane/nats/nats-server.js";
import { silentLogger } from "../../../runtime/log.js";
import { connectNats } from "../../../runtime/nats.js";
import { createNatsUserKey } from "../../../runtime/nats-user-keys.js";
import { mintUser } from "../../../runtime/nats-users.js";
import { untilTrue } from "../../support/until.js";

async function startWithTls() {
  const dir = await mkdtemp(join(tmpdir(), "ashlar-tls-"));
  const tls = { certificateFile: join(dir, "cert.pem"), keyFile: join(dir, "key.pem") };
  const made = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=nats";
  const name = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", tls.keyFile, "-out", tls.certificateFile];
  execFileSync("openssl", [...made.split(" "), ...name], { stdio: "ignore" });
  const certificate = await readFile(tls.certificateFile, "utf8");
  return { dir, certificate, server: await startNatsServer({ dir: join(dir, "nats"), tls, log: silentLogger }) };
}

test("a look whether a server with TLS is there leaves no error in the server's log", async () => {
  const { dir, server } = await startWithTls();
  try {
    for (const _look of [1, 2]) expect(await readServerName("127.0.0.1", server.port)).toMatch(/./);
    await server.stop();
    const log = await readFile(server.logFile, "utf8");
    expect(log).toMatch(/Server is ready/);
    expect(log).not.toMatch(/\[ERR\]/);
  } finally {
    await server.stop();
    await rm(dir, { recursive: true, force: true });
  }
});

test("with TLS a client that knows the root connects, and one that does not is refused", async () => {
  const { dir, certificate, server } = await startWithTls();
  const user = createNatsUserKey();
  const jwt = await mintUser({
    accountSeed: server.accounts.mesh.seed,
    accountPublicKey: server.accounts.mesh.publicKey,
    userPublicKey: user.publicKey,
    name: "u",
    expiresMs: Date.now() + 60_000,
    permissions: { publish: ["x"], subscribe: ["_INBOX_u.>"] },
  });
  const options = { servers: [server.url], jwt: () => jwt, seed: () => user.seed, inboxPrefix: "_INBOX_u", name: "u" };
  const warnings: string[] = [];
  const log = {
    ...silentLogger,
    warn: (message: string, fields?: object) => void warnings.push(`${message} ${JSON.stringify(fields)}`),
  };
  const knows = connectNats({ ...options, caPem: certificate, log });
  const stranger = connectNats({ ...options, log });
  try {
    expect(server.url).toMatch(/^tls:/);
    await knows.whenConnected(AbortSignal.timeout(10_000));
    await knows.flush();
    await untilTrue(() => warnings.some((line) => /NATS is not there/.test(line)));
    expect(stranger.connected).toBe(false);
  } finally {
    await knows.close();
    await stranger.close();
    await server.stop();
    await rm(dir, { recursive: true, force: true });
  }
});
