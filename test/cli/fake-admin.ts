/** A real admin listener over mutual TLS that answers what the test says, and a CLI that talks to it. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Server, ServerCredentials, type ServerWritableStream } from "@grpc/grpc-js";
import { runCli } from "../../cli/program.js";
import { AshlarError } from "../../core/errors.js";
import {
  ActivationInfo,
  AdminServiceService,
  GetStatusResponse,
  ProxyInfo,
  RevisionInfo,
} from "../../proto/gen/ashlar/v1/admin.js";
import { systemClock } from "../../runtime/clock.js";
import { toGrpcStatus } from "../../runtime/grpc-status.js";
import { leafExtensions, makeCertificate, makeRoot, type TestCertificate } from "../support/certificates.js";

export const timeMs = Date.UTC(2026, 0, 2, 3, 4, 5);
export const digestOf = (character: string): string => character.repeat(64);

export const revisionInfo = (number: number, fields: Partial<RevisionInfo> = {}): RevisionInfo =>
  RevisionInfo.fromPartial({
    number,
    digest: digestOf(String(number)),
    parent: digestOf(String(number - 1)),
    snapshot: digestOf("a"),
    author: "spiffe://test/operator/admin",
    message: `change ${number}`,
    timeMs: timeMs + number * 60_000,
    ...fields,
  });

export const activationInfo = (epoch: number, revision: number, rollbackOf = 0): ActivationInfo =>
  ActivationInfo.fromPartial({ epoch, revision, rollbackOf, timeMs });

export const proxyInfo = (id: string, fields: Partial<ProxyInfo> = {}): ProxyInfo =>
  ProxyInfo.fromPartial({
    id,
    service: "payments",
    version: "v1",
    epoch: 4,
    seenEpoch: 4,
    revision: 3,
    digest: digestOf("3"),
    lagMs: 12,
    certificateExpiresMs: timeMs + 86_400_000,
    lastSeenMs: timeMs,
    live: true,
    active: true,
    serving: true,
    prepared: [3, 2],
    freshnessAgeMs: 900,
    ...fields,
  });

export const statusInfo = (fields: Partial<GetStatusResponse> = {}): GetStatusResponse =>
  GetStatusResponse.fromPartial({
    mesh: "test",
    epoch: 4,
    revision: 3,
    headRevision: 3,
    total: 2,
    prepared: 2,
    active: 2,
    healthy: true,
    trustSequence: 1,
    ...fields,
  });

type Method = keyof typeof AdminServiceService;
/** What a method answers; a function sees the request, and what it throws goes back as a status. */
export type Answers = Partial<Record<Method, unknown>>;

export interface Finished {
  readonly code: number;
  readonly out: string;
  readonly error: string;
}

export interface FakeAdmin {
  readonly folder: string;
  readonly address: string;
  readonly contextPath: string;
  /** Replaces all answers. */
  answers: Answers;
  /** Requests in the order they came. */
  readonly requests: { readonly method: Method; readonly request: unknown }[];
  /** Runs a command line against this admin listener. */
  run(...argv: string[]): Promise<Finished>;
  /** The same, with stdin. */
  runWith(stdin: string, ...argv: string[]): Promise<Finished>;
  /** The same at a terminal, where whoever sits there answers questions so. */
  runAtTerminal(answer: boolean, ...argv: string[]): Promise<Finished>;
  /** A context like the good one, with some of it replaced. */
  context(name: string, replaced: Record<string, unknown>): string;
  stop(): void;
}

const pem = ({ der }: TestCertificate): string =>
  `-----BEGIN CERTIFICATE-----\n${Buffer.from(der).toString("base64")}\n-----END CERTIFICATE-----\n`;

export async function startFakeAdmin(serverId = "spiffe://test/control-plane/one"): Promise<FakeAdmin> {
  const root = makeRoot("test");
  const issue = (id: string) => makeCertificate({ issuer: root, extensions: leafExtensions(id) });
  const [own, operator] = [issue(serverId), issue("spiffe://test/operator/admin")];
  const folder = mkdtempSync(join(tmpdir(), "ashlar-cli-"));
  const requests: FakeAdmin["requests"] = [];
  const server = new Server();
  const answer =
    (method: Method) => (call: { request: unknown }, callback: (error: unknown, value?: unknown) => void) => {
      const { request } = call;
      requests.push({ method, request });
      try {
        const given = admin.answers[method];
        if (given === undefined) throw new AshlarError("internal", `the test has no answer to ${method}`);
        const value: unknown = typeof given === "function" ? given(request) : given;
        const codec = AdminServiceService[method] as { responseDeserialize(bytes: Buffer): object };
        const reply = (fields: unknown): void =>
          callback(null, { ...codec.responseDeserialize(Buffer.alloc(0)), ...(fields as object) });
        if (value instanceof Promise) void value.then(reply);
        else reply(value);
      } catch (error) {
        callback(toGrpcStatus(error));
      }
    };
  /** Answers of a stream are a list. */
  const stream = (method: Method) => (call: ServerWritableStream<unknown, unknown>) => {
    requests.push({ method, request: call.request });
    const given = admin.answers[method];
    if (!Array.isArray(given)) {
      call.emit("error", toGrpcStatus(new AshlarError("internal", `the test has no answers to ${method}`)));
      return;
    }
    for (const one of given) call.write(one);
    call.end();
  };
  const handlers = Object.entries(AdminServiceService).map(([method, { responseStream }]) => [
    method,
    responseStream ? stream(method as Method) : answer(method as Method),
  ]);
  server.addService(AdminServiceService, Object.fromEntries(handlers));
  const port = await new Promise<number>((resolve, reject) => {
    const pair = { private_key: Buffer.from(own.keyPem), cert_chain: Buffer.from(pem(own)) };
    const credentials = ServerCredentials.createSsl(Buffer.from(pem(root)), [pair], true);
    server.bindAsync("127.0.0.1:0", credentials, (error, bound) => (error ? reject(error) : resolve(bound)));
  });
  const address = `127.0.0.1:${port}`;
  const good = { admin: address, ca: pem(root), certificate: pem(operator), key: operator.keyPem };
  const write = (name: string, value: object): string => {
    const path = join(folder, name);
    writeFileSync(path, JSON.stringify(value));
    return path;
  };
  const contextPath = write("admin.json", good);
  const admin: FakeAdmin = {
    folder,
    address,
    contextPath,
    answers: {},
    requests,
    run: (...argv) => runWith(contextPath, "", argv),
    runWith: (stdin, ...argv) => runWith(contextPath, stdin, argv),
    runAtTerminal: (answer, ...argv) => runWith(contextPath, "", argv, async () => answer),
    context: (name, replaced) => write(name, { ...good, ...replaced }),
    stop: () => {
      server.forceShutdown();
      rmSync(folder, { recursive: true, force: true });
    },
  };
  return admin;
}

/** Runs a command line as main.ts would, and keeps what it wrote. */
export async function runWith(
  contextPath: string,
  stdin: string,
  argv: readonly string[],
  confirm?: (question: string) => Promise<boolean>,
): Promise<Finished> {
  let out = "";
  let error = "";
  const code = await runCli(argv, {
    clock: { ...systemClock, nowMs: () => timeMs },
    version: "0.0.0-test",
    contextPath,
    writeOut: (text) => {
      out += text;
    },
    writeError: (text) => {
      error += text;
    },
    readStdin: async () => stdin,
    confirm,
    runProcess: async (name, rest) => {
      out += `${name} ${rest.join(" ")}\n`;
      return 0;
    },
  });
  return { code, out, error };
}
