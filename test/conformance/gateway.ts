/** The gateway under test: three listeners with a certificate for two hosts, whose clients need no certificate. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { basic, dnsName, extended, extendedUsage, keyUsage, san, usage } from "../support/certificates.js";
import { credentialsOf, makeCertificate, meshIssuer } from "./certificates.js";
import type { Mesh, MeshProxy } from "./mesh.js";

/** What the listener `hosts` is for; its certificate is for `unlisted` too. */
export const hosts = { first: "shop.example", second: "api.example", unlisted: "unlisted.example" } as const;
export const trustedOrigin = "https://www.shop.example";

/** Starts it. Its listeners: `web` takes every protocol and host, `plain` gRPC alone, `hosts` two hosts and one origin. */
export function startGateway(mesh: Mesh): Promise<MeshProxy> {
  const issuer = meshIssuer(mesh);
  const extensions = [
    ...[basic(false), keyUsage([usage.digitalSignature]), extended(extendedUsage.server)],
    san(...Object.values(hosts).map(dnsName)),
  ];
  const { keyPem, chainPem } = credentialsOf(makeCertificate(extensions, issuer), issuer);
  const [certificate, key] = [join(mesh.dir, "edge.crt"), join(mesh.dir, "edge.key")];
  writeFileSync(certificate, chainPem);
  writeFileSync(key, keyPem, { mode: 0o600 });
  const flags = ["web", "plain", "hosts"].flatMap((name) => [
    ...["--listener", `${name}=127.0.0.1:0`, "--cert", `${name}=${certificate},${key}`],
  ]);
  flags.push("--host", `hosts=${hosts.first}`, "--host", `hosts=${hosts.second}`, "--origin", `hosts=${trustedOrigin}`);
  return mesh.gateway({ name: "gateway", attacked: "web", flags });
}
