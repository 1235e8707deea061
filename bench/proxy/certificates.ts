import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** The files of a bench's identities. `both` contains certificate and key, as HAProxy wants them. */
export interface Identity {
  readonly certificate: string;
  readonly key: string;
  readonly both: string;
}

export interface BenchIdentities {
  readonly ca: string;
  readonly client: Identity;
  readonly server: Identity;
}

/** Writes a CA and two services' identities (a SPIFFE ID and localhost each) into `folder`; needs openssl. */
export function writeIdentities(folder: string): BenchIdentities {
  const openssl = (...args: string[]) =>
    execFileSync("openssl", args, { cwd: folder, stdio: ["ignore", "ignore", "pipe"] });
  const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  openssl("req", "-x509", ...newKey, "-keyout", "ca.key", "-out", "ca.crt", "-days", "1", "-subj", "/CN=bench");
  const issue = (name: string): Identity => {
    const files = {
      certificate: join(folder, `${name}.crt`),
      key: join(folder, `${name}.key`),
      both: join(folder, `${name}.pem`),
    };
    const names = `subjectAltName=URI:spiffe://bench/service/${name},DNS:localhost`;
    writeFileSync(join(folder, `${name}.ext`), `${names}\nextendedKeyUsage=serverAuth,clientAuth\n`);
    openssl("req", "-new", ...newKey, "-keyout", `${name}.key`, "-out", `${name}.csr`, "-subj", `/CN=${name}`);
    const from = ["-in", `${name}.csr`, "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial"];
    openssl("x509", "-req", ...from, "-out", `${name}.crt`, "-days", "1", "-extfile", `${name}.ext`);
    writeFileSync(files.both, readFileSync(files.certificate, "utf8") + readFileSync(files.key, "utf8"), {
      mode: 0o600,
    });
    return files;
  };
  return { ca: join(folder, "ca.crt"), client: issue("client"), server: issue("server") };
}
