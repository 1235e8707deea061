/** TLS servers outside a mesh that serve test.Echo and record what they receive. */
import {
  loadPackageDefinition,
  Metadata,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type sendUnaryData,
} from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import {
  basic,
  dnsName,
  extended,
  extendedUsage,
  keyUsage,
  makeCertificate,
  san,
  type TestCertificate,
  usage,
} from "./certificates.js";
import type { EchoRequest, EchoResponse } from "./echo-client.js";

export const pem = (...certificates: readonly TestCertificate[]): string =>
  certificates
    .map(
      ({ der }) => `-----BEGIN CERTIFICATE-----\n${Buffer.from(der).toString("base64")}\n-----END CERTIFICATE-----\n`,
    )
    .join("");
export const authority = (name: string): TestCertificate =>
  makeCertificate({ name, extensions: [basic(true), keyUsage([usage.keyCertSign, usage.crlSign])] });
export const outsideCa = authority("outside");
/** Returns a certificate for `purpose`, an extended key usage, with these alternative names. */
export const leafOf = (issuer: TestCertificate, purpose: string, ...names: readonly Buffer[]): TestCertificate =>
  makeCertificate({
    issuer,
    extensions: [
      ...[basic(false), keyUsage([usage.digitalSignature]), extended(purpose)],
      ...(names.length === 0 ? [] : [san(...names)]),
    ],
  });
export const outsideLeaf = (purpose: string, ...names: readonly string[]): TestCertificate =>
  leafOf(outsideCa, purpose, ...names.map(dnsName));

export interface Seen {
  readonly server: string;
  readonly fields: Record<string, unknown>;
  readonly authority: string;
}

// biome-ignore lint/suspicious/noExplicitAny: proto-loader gives no types
const Echo = (loadPackageDefinition(loadSync("test/support/echo.proto", { keepCase: true, defaults: true })) as any)
  .test.Echo.service;
export class Providers {
  readonly seen: Seen[] = [];
  readonly #servers: Server[] = [];

  /** Starts one. Resolves to its port on 127.0.0.1. */
  async start(name: string, host: string, asksForKey = false): Promise<number> {
    const certificate = outsideLeaf(extendedUsage.server, host);
    const key = { private_key: Buffer.from(certificate.keyPem), cert_chain: Buffer.from(pem(certificate)) };
    const { seen } = this;
    const server = new Server();
    server.addService(Echo, {
      Unary(call: ServerUnaryCall<EchoRequest, EchoResponse>, callback: sendUnaryData<EchoResponse>) {
        seen.push({ server: name, fields: call.metadata.getMap(), authority: call.getHost() });
        const trailers = new Metadata();
        trailers.set("ashlar-decision", "made-up");
        trailers.set("ashlar-revision", "9999");
        trailers.set("x-own", "kept");
        callback(null, { ...(call.request as EchoResponse), version: name }, trailers);
      },
      // biome-ignore lint/suspicious/noExplicitAny: proto-loader gives no types
      ServerStream(call: any) {
        call.write({ text: "first" });
        call.on("cancelled", () => call.end());
      },
    });
    this.#servers.push(server);
    const security = ServerCredentials.createSsl(asksForKey ? Buffer.from(pem(outsideCa)) : null, [key], asksForKey);
    return new Promise((resolve, reject) =>
      server.bindAsync("127.0.0.1:0", security, (error, port) => (error === null ? resolve(port) : reject(error))),
    );
  }

  close(): void {
    for (const server of this.#servers) server.forceShutdown();
  }
}
