/** A courier outside the mesh: a TLS server that knows nothing of Ashlar. */
import { createPrivateKey, randomBytes } from "node:crypto";
import { Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData } from "@grpc/grpc-js";
import { generatePrivateKeyPem, issueCertificate, publicKeyDer, toPem } from "../../runtime/tls-identity-issue.js";
import { type Booking, Couriers } from "./shop.js";

const hourMs = 3_600_000;

export interface Courier {
  /** "HOST:PORT". */
  readonly address: string;
  /** The host name that its certificate is valid for. */
  readonly host: string;
  /** Its self-signed certificate in PEM. */
  readonly certificate: string;
  close(): void;
}

export async function openCourier(): Promise<Courier> {
  const host = "courier.example";
  const key = generatePrivateKeyPem();
  const about = { organization: "", commonName: host, uri: `https://${host}`, dnsNames: [host] };
  const times = { notBeforeMs: Date.now() - hourMs, notAfterMs: Date.now() + 24 * hourMs };
  const contents = { ...about, ...times, serial: randomBytes(16), publicKey: publicKeyDer(key) };
  const certificate = toPem([issueCertificate(contents, { selfKey: createPrivateKey(key) })]);
  let count = 0;
  const take = ({ metadata }: ServerUnaryCall<object, Booking>, answer: sendUnaryData<Booking>): void => {
    count += 1;
    answer(null, { parcel_id: `parcel-${count}`, caller: metadata.get("ashlar-caller").join() });
  };
  const server = new Server();
  server.addService(Couriers.service, { Book: take, Cancel: take });
  const pair = { private_key: Buffer.from(key), cert_chain: Buffer.from(certificate) };
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", ServerCredentials.createSsl(null, [pair]), (error, port) =>
      error === null ? resolve(port) : reject(error),
    ),
  );
  return { address: `127.0.0.1:${port}`, host, certificate, close: () => server.forceShutdown() };
}
