/** Rows 22 to 24: who may not connect. The bad certificates are signed by the mesh's own root. */
import {
  basic,
  dnsName,
  type Extension,
  extended,
  extendedUsage,
  keyUsage,
  leafExtensions,
  san,
  uriName,
  usage,
} from "../../../test/support/certificates.js";
import { RawPeer } from "../../support/raw-peer.js";
import { message, request } from "../../support/wire.js";
import { type CertificateOptions, credentialsOf, issuerOf, makeCertificate, meshIssuer } from "../certificates.js";
import { type Arena, type Check, call, outcome, together, type Verdict, verdict } from "../check.js";
import { type Credentials, connectMutual, type TlsOptions } from "../mesh.js";

const good = "spiffe://checks/service/front";
const served = "grpc-status 0";

/** What somebody with these credentials gets: a TLS error, an end before the first frame, or an answer. */
async function admitted(arena: Arena, credentials: Credentials | undefined, options: TlsOptions = {}): Promise<string> {
  let peer: RawPeer;
  try {
    peer = new RawPeer(await connectMutual(arena.mesh, arena.attacked, credentials, options), false);
  } catch (error) {
    return `TLS ${error instanceof Error && "code" in error ? String(error.code) : String(error)}`;
  }
  const stream = await call(peer, request("/checks.Echo/Unary"), { body: message("x"), ms: 4000 });
  const seen = outcome(peer, stream);
  const frames = [...peer.received.values()].reduce((sum, count) => sum + count, 0);
  peer.close();
  if (seen === served || seen === "nothing") return seen;
  return frames === 0 ? `refused: ${peer.error || "closed"}` : `${frames} frames, then ${seen}`;
}

/** An alert, or the end of the connection before a frame of HTTP/2. */
const untrusted = /UNKNOWN_CA|BAD_CERTIFICATE|DECRYPT_ERROR|ECONNRESET|refused/;

const isRefused = (seen: string): boolean => seen.startsWith("TLS ") || seen.startsWith("refused");

async function noOrForeign(arena: Arena): Promise<Verdict> {
  const parts: (readonly [string, Verdict])[] = [];
  const self = makeCertificate(leafExtensions(good), undefined);
  const foreignRoot = makeCertificate(
    [basic(true), keyUsage([usage.keyCertSign, usage.crlSign]), san(uriName("spiffe://other"))],
    undefined,
  );
  const lookAlike = makeCertificate(
    [basic(true), keyUsage([usage.keyCertSign, usage.crlSign]), san(uriName("spiffe://checks"))],
    undefined,
    { commonName: "Ashlar root CA" },
  );
  const cases: readonly (readonly [string, RegExp, Credentials | undefined])[] = [
    ["no certificate", /CERTIFICATE_REQUIRED|HANDSHAKE_FAILURE/, undefined],
    ["self-signed", untrusted, credentialsOf(self)],
    [
      "other mesh",
      untrusted,
      credentialsOf(
        makeCertificate(leafExtensions("spiffe://other/service/front"), issuerOf(foreignRoot)),
        issuerOf(foreignRoot),
      ),
    ],
    [
      "root of the same name",
      untrusted,
      credentialsOf(makeCertificate(leafExtensions(good), issuerOf(lookAlike)), issuerOf(lookAlike)),
    ],
  ];
  for (const version of ["TLSv1.3", "TLSv1.2"] as const) {
    for (const [name, wanted, credentials] of cases) {
      const seen = await admitted(arena, credentials, { minVersion: version, maxVersion: version });
      parts.push([`${name}, ${version}`, verdict(isRefused(seen) && wanted.test(seen), seen)]);
    }
  }
  return together(parts);
}

type Bad = readonly [name: string, extensions: readonly Extension[], options?: CertificateOptions];

const sanOf = (...names: readonly Uint8Array[]) => leafExtensions(good, { san: san(...names) });
const id = (text: string) => leafExtensions(text);
const dayMs = 86_400_000;
const now = Date.now();

const badSvids: readonly Bad[] = [
  ["no SAN", leafExtensions(good, { san: null })],
  ["two URI SANs", sanOf(uriName(good), uriName("spiffe://checks/service/admin"))],
  ["two, one https", sanOf(uriName(good), uriName("https://checks/service/front"))],
  ["only a DNS SAN", sanOf(dnsName("front"))],
  ["SPIFFE ID as DNS SAN", sanOf(dnsName(good))],
  ["SPIFFE ID as CN", leafExtensions(good, { san: null }), { commonName: good }],
  ["URI: inside a DNS SAN", sanOf(dnsName(`x, URI:${good}`))],
  ["SPIFFE://", id("SPIFFE://checks/service/front")],
  ["https://", id("https://checks/service/front")],
  ["upper case domain", id("spiffe://CHECKS/service/front")],
  ["port", id("spiffe://checks:1/service/front")],
  ["userinfo", id("spiffe://x@checks/service/front")],
  ["percent", id("spiffe://checks/service/fr%6fnt")],
  ["empty segment", id("spiffe://checks//service/front")],
  ["dot segment", id("spiffe://checks/./service/front")],
  ["dot-dot segment", id("spiffe://checks/service/x/../front")],
  ["trailing slash", id("spiffe://checks/service/front/")],
  ["query", id("spiffe://checks/service/front?x")],
  ["fragment", id("spiffe://checks/service/front#x")],
  ["no path", id("spiffe://checks")],
  ["2049 bytes", id(`spiffe://checks/service/${"x".repeat(2049 - 24)}`)],
  ["NUL", sanOf(uriName("spiffe://checks/service/front\0x"))],
  ["new line", sanOf(uriName("spiffe://checks/service/front\n"))],
  ["other domain, our root", id("spiffe://other/service/front")],
  [
    "is a CA",
    leafExtensions(good, { basic: basic(true), usage: keyUsage([usage.digitalSignature, usage.keyCertSign]) }),
  ],
  ["keyCertSign", leafExtensions(good, { usage: keyUsage([usage.digitalSignature, usage.keyCertSign]) })],
  ["cRLSign", leafExtensions(good, { usage: keyUsage([usage.digitalSignature, usage.crlSign]) })],
  ["no digitalSignature", leafExtensions(good, { usage: keyUsage([usage.keyEncipherment]) })],
  ["no key usage", leafExtensions(good, { usage: null })],
  ["key usage not critical", leafExtensions(good, { usage: keyUsage([usage.digitalSignature], false) })],
  ["server only", leafExtensions(good, { extended: extended(extendedUsage.server) })],
  ["client only", leafExtensions(good, { extended: extended(extendedUsage.client) })],
  ["expired", id(good), { notBeforeMs: now - 2 * dayMs, notAfterMs: now - dayMs }],
  ["not yet valid", id(good), { notBeforeMs: now + dayMs, notAfterMs: now + 2 * dayMs }],
];

async function badIdentities(arena: Arena): Promise<Verdict> {
  const root = meshIssuer(arena.mesh);
  const parts: (readonly [string, Verdict])[] = [];
  const control = await admitted(arena, credentialsOf(makeCertificate(leafExtensions(good), root)));
  parts.push(["control, a good one", verdict(control === served, control)]);
  arena.upstream.forget();
  const refuse = async (name: string, credentials: Credentials) => {
    const seen = await admitted(arena, credentials);
    parts.push([name, verdict(isRefused(seen), seen)]);
  };
  for (const [name, extensions, options] of badSvids) {
    await refuse(name, credentialsOf(makeCertificate(extensions, root, options)));
  }
  const notCa = makeCertificate(leafExtensions(good), root);
  await refuse(
    "signed by a leaf",
    credentialsOf(makeCertificate(leafExtensions(good), issuerOf(notCa)), issuerOf(notCa)),
  );
  const ca = (pathLength: number) => [
    basic(true, pathLength),
    keyUsage([usage.keyCertSign, usage.crlSign]),
    san(uriName("spiffe://checks")),
  ];
  const first = makeCertificate(ca(0), root);
  const second = makeCertificate(ca(0), issuerOf(first, root));
  const deep = issuerOf(second, issuerOf(first, root));
  await refuse("path length exceeded", credentialsOf(makeCertificate(leafExtensions(good), deep), deep));
  await refuse("the CA's own certificate", credentialsOf(first));
  return together(parts);
}

/** Bundles of one domain vouch for that domain only; this mesh loads its own and no other. */
async function crossDomain(arena: Arena): Promise<Verdict> {
  const parts: (readonly [string, Verdict])[] = [];
  const rootB = makeCertificate(
    [basic(true), keyUsage([usage.keyCertSign, usage.crlSign]), san(uriName("spiffe://b"))],
    undefined,
  );
  const b = issuerOf(rootB);
  const root = meshIssuer(arena.mesh);
  const cases: readonly (readonly [string, Credentials])[] = [
    ["b signs for us", credentialsOf(makeCertificate(leafExtensions(good), b), b)],
    ["b signs for b", credentialsOf(makeCertificate(leafExtensions("spiffe://b/service/front"), b), b)],
    ["we sign for b", credentialsOf(makeCertificate(leafExtensions("spiffe://b/service/front"), root))],
  ];
  for (const [name, credentials] of cases) {
    const seen = await admitted(arena, credentials);
    parts.push([name, verdict(isRefused(seen), seen)]);
  }
  return together(parts);
}

export const identities: readonly Check[] = [
  { row: 22, name: "no or untrusted client certificate", untouched: true, run: noOrForeign },
  { row: 23, name: `bad SVIDs (${badSvids.length + 3})`, untouched: true, run: badIdentities },
  { row: 24, name: "cross-domain signing", untouched: true, run: crossDomain },
];
