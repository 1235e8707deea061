/** The mesh under test: `up` and proxies of the build at `root`, each a process of its own, and their identities. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { until } from "../support/until.js";
import { Child } from "./child.js";
import { whenKilled } from "./when-killed.js";

export interface Credentials {
  readonly keyPem: string;
  readonly chainPem: string;
}

export const pemOf = (der: Uint8Array): string =>
  `-----BEGIN CERTIFICATE-----\n${Buffer.from(der)
    .toString("base64")
    .replace(/.{64}(?=.)/g, "$&\n")}\n-----END CERTIFICATE-----\n`;

/** A gateway, by the flags of its listeners; the attacks go to the listener `attacked`. */
export interface GatewayOptions {
  readonly name: string;
  readonly attacked: string;
  readonly flags: readonly string[];
}

export interface ProxyOptions {
  readonly name: string;
  readonly service: string;
  readonly version?: string;
  /** A socket; undefined: outbound only. */
  readonly app?: string;
  readonly flags?: readonly string[];
}

export interface Address {
  readonly host: string;
  readonly port: number;
}

export class MeshProxy {
  readonly name: string;
  readonly service: string;
  readonly dir: string;
  readonly child: Child;
  readonly #attacked: string;

  /** `attacked`: the listener that attacks go to. */
  constructor(
    options: { readonly name: string; readonly service: string },
    dir: string,
    child: Child,
    attacked: string,
  ) {
    this.name = options.name;
    this.service = options.service;
    this.dir = dir;
    this.child = child;
    this.#attacked = attacked;
  }

  get inbound(): Address {
    return this.listener(this.#attacked);
  }

  /** Where a listener is that the process named when it was ready. */
  listener(name: string): Address {
    const found = new RegExp(`\\b${name}=([\\d.]+):(\\d+)`).exec(this.child.out);
    return { host: found?.[1] ?? "", port: Number(found?.[2] ?? 0) };
  }

  get outbound(): string {
    return join(this.dir, "out.sock");
  }

  get credentials(): Credentials {
    const read = (name: string) => JSON.parse(readFileSync(join(this.dir, "data/identity", name), "utf8"));
    const chain: string[] = read("identity.json").certificateChain;
    const chainPem = chain.map((one) => pemOf(Buffer.from(one, "base64"))).join("");
    return { keyPem: read("keys.json").privateKeyPem, chainPem };
  }

  /** The Prometheus text of --status, by name and labels. */
  async metrics(): Promise<Map<string, number>> {
    const port = readFileSync(join(this.dir, "status-port"), "utf8");
    // A connection that is kept may be closed by the other side at the very moment it is used again.
    const response = await fetch(`http://127.0.0.1:${port}/metrics`, { headers: { connection: "close" } }).catch(
      (cause: Error) => {
        const why = cause.cause instanceof Error ? cause.cause.message : cause.message;
        throw new Error(`${this.name} gives no metrics: ${why}`, { cause });
      },
    );
    const lines = (await response.text()).split("\n").filter((line) => line !== "" && !line.startsWith("#"));
    return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.split(" ").at(-1))]));
  }
}

export class Mesh {
  readonly dir = mkdtempSync(join(tmpdir(), "ashlar-checks-"));
  readonly proxies: MeshProxy[] = [];
  readonly #released: MeshProxy[] = [];
  /** The folder of the build. */
  readonly root: string;
  #up: Child | undefined;
  #files = 0;

  readonly #takeBack: () => void;

  constructor(root: string) {
    this.root = root;
    const endNow = () => rmSync(this.dir, { recursive: true, force: true });
    this.#takeBack = whenKilled({ end: async () => endNow(), endNow });
  }

  get cli(): string {
    return join(this.root, "dist/cli/main.js");
  }

  get data(): string {
    return join(this.dir, "up");
  }

  get up(): Child {
    if (this.#up === undefined) throw new Error("the mesh is not started");
    return this.#up;
  }

  async start(): Promise<void> {
    this.#up = new Child("up", [this.cli, "up", "--data", this.data, "--mesh", "checks", "--listen", "127.0.0.1:0"]);
    await this.#up.said("ready");
  }

  async run(...args: string[]): Promise<{ code: number; out: string; errors: string }> {
    const child = new Child(args.join(" "), [this.cli, ...args], { ASHLAR_CONTEXT: join(this.data, "admin.json") });
    const code = await child.exited;
    return { code, out: child.out, errors: child.errors };
  }

  async mustRun(...args: string[]): Promise<string> {
    const { code, out, errors } = await this.run(...args);
    if (code !== 0) throw new Error(`ashlar ${args.join(" ")}: exit ${code}: ${errors}`);
    return out;
  }

  async apply(policy: string): Promise<void> {
    const path = join(this.dir, `policy-${this.#files++}.yaml`);
    writeFileSync(path, policy);
    await this.mustRun("apply", "-f", path, "--wait");
  }

  async proxy(options: ProxyOptions): Promise<MeshProxy> {
    const { name, service, version = "v1" } = options;
    const flags = [
      ...["--inbound", "127.0.0.1:0", "--outbound", `unix:${join(this.dir, name, "out.sock")}`],
      ...(options.app === undefined ? [] : ["--app", `unix:${options.app}`]),
      ...(options.flags ?? []),
    ];
    const token = ["--service", service, "--version", version];
    return this.#join(options, ["proxy", "--service", service], token, flags, "inbound");
  }

  /** A gateway of the name `public` in policy. */
  gateway({ name, attacked, flags }: GatewayOptions): Promise<MeshProxy> {
    const verb = ["gateway", "--name", "public"];
    return this.#join({ name, service: "gateway/public" }, verb, ["--gateway", "public"], flags, attacked);
  }

  async #join(
    named: { readonly name: string; readonly service: string },
    verb: readonly string[],
    token: readonly string[],
    flags: readonly string[],
    attacked: string,
  ): Promise<MeshProxy> {
    const dir = join(this.dir, named.name);
    mkdirSync(dir, { mode: 0o700 });
    writeFileSync(join(dir, "token"), (await this.mustRun("token", ...token)).trim());
    const statusPort = await freePort();
    writeFileSync(join(dir, "status-port"), String(statusPort));
    const child = new Child(`${verb[0]} ${named.name}`, [
      ...[this.cli, ...verb, "--token", join(dir, "token"), "--join", join(this.data, "join.json")],
      ...["--data", join(dir, "data"), "--status", `127.0.0.1:${statusPort}`, "--log-level", "warn", ...flags],
    ]);
    const proxy = new MeshProxy(named, dir, child, attacked);
    this.proxies.push(proxy);
    await child.said("ready");
    return proxy;
  }

  async healthy(service: string): Promise<void> {
    await until(`${service} has a healthy endpoint`, async () => {
      const services: { name: string; endpoints: { healthy: boolean }[] }[] = JSON.parse(
        await this.mustRun("services", "-o", "json"),
      );
      return services.some(({ name, endpoints }) => name === service && endpoints.some(({ healthy }) => healthy));
    });
  }

  /** Its end is what a check is about. */
  release(proxy: MeshProxy): void {
    this.#released.push(...this.proxies.splice(this.proxies.indexOf(proxy), 1));
  }

  /** The CA's key and certificate: what only somebody who broke in would have. */
  get authority(): { readonly certificate: Buffer; readonly keyPem: string } {
    const { ca } = JSON.parse(readFileSync(join(this.data, "identity/authority.json"), "utf8"));
    return { certificate: Buffer.from(ca.certificate, "base64"), keyPem: ca.privateKey };
  }

  async stop(): Promise<void> {
    await Promise.all([...this.proxies, ...this.#released].map(({ child }) => child.stop()));
    await this.#up?.stop();
    rmSync(this.dir, { recursive: true, force: true });
    this.#takeBack();
  }
}

export interface TlsOptions {
  readonly alpn?: readonly string[];
  readonly minVersion?: "TLSv1.2" | "TLSv1.3";
  readonly maxVersion?: "TLSv1.2" | "TLSv1.3";
  /** The host that the handshake asks for; left out: none. */
  readonly servername?: string;
}

/** Begins a handshake with a listener that shows a certificate of the mesh's CA. */
export function openTls(
  mesh: Mesh,
  at: Address,
  credentials: Credentials | undefined,
  { alpn = ["h2"], ...versionsAndHost }: TlsOptions = {},
): TLSSocket {
  const socket = connectTls({
    ...at,
    ca: pemOf(mesh.authority.certificate),
    ALPNProtocols: [...alpn],
    checkServerIdentity: () => undefined,
    ...(credentials === undefined ? {} : { key: credentials.keyPem, cert: credentials.chainPem }),
    ...versionsAndHost,
  });
  socket.setNoDelay(true);
  return socket;
}

/** The handshake with a proxy's inbound port. With TLS 1.3 a refusal of the client comes after this resolved. */
export function connectMutual(
  mesh: Mesh,
  { inbound }: MeshProxy,
  credentials: Credentials | undefined,
  options: TlsOptions = {},
): Promise<TLSSocket> {
  return handshake(openTls(mesh, inbound, credentials, options));
}

export function handshake(socket: TLSSocket): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    socket.once("error", reject);
    socket.once("secureConnect", () => {
      socket.off("error", reject);
      resolve(socket);
    });
  });
}

export const connectSocket = (path: string) => connect({ path });

let lastPort = 20_000 + (process.pid % 9000);

/** Below the ports that the system gives out by itself, so that no other listener of the mesh gets it first. */
function freePort(): Promise<number> {
  const port = ++lastPort;
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(freePort()));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(port)));
  });
}
