/** Finds what is unsafe about a mesh, or how it can be bypassed, from facts about it. */

export interface DoctorFinding {
  /** A stable name that scripts may branch on. */
  readonly code: FindingCode;
  /** The object of the finding: a proxy's id, a path, or an address. */
  readonly subject: string;
  readonly message: string;
  readonly remedy: string;
}

type FindingCode =
  | "application-on-tcp"
  | "outbound-on-tcp"
  | "plain-gateway"
  | "unsigned-proxies"
  | "one-nats-account"
  | "nats-exposed"
  | "admin-exposed"
  | "readable-by-others"
  | "egress-on-one-side"
  | "reads-go-direct";

/** A file, folder or socket on this machine that only its owner should be able to use. */
export interface PrivatePath {
  readonly path: string;
  readonly kind: "file" | "folder" | "socket";
  /** Permission bits. */
  readonly mode: number;
}

export interface DoctorFacts {
  /** "PROXY: WAY" for each way around a live proxy, as `ashlar status` shows them. */
  readonly bypassable: readonly string[];
  /** The problems that `ashlar status` shows. */
  readonly problems: readonly { readonly code: string; readonly message: string }[];
  /** The addresses on which the control plane on this machine listens. */
  readonly listeners: readonly { readonly what: "nats" | "admin"; readonly address: string }[];
  readonly paths: readonly PrivatePath[];
  /** The egresses in the trust log. */
  readonly egresses: readonly { readonly name: string; readonly address: string; readonly through: string }[];
  /** Services whose reads may come without the caller's proxy, by the policy in force, with the Journal that says so. */
  readonly directReads?: readonly { readonly service: string; readonly journal: string }[];
  /** Applications that got a certificate for such reads that may not have ended yet: "SERVICE (PROXY)". */
  readonly readers?: readonly string[];
}

/** Returns everything that is found, the gravest first. */
export function examine(facts: DoctorFacts): readonly DoctorFinding[] {
  const { bypassable, problems, listeners, paths, egresses, directReads = [], readers = [] } = facts;
  return [
    ...paths.filter(({ mode }) => (mode & 0o077) !== 0).map(readable),
    ...bypassable.map(bypass),
    ...problems.flatMap(ofProblem),
    ...listeners.filter(({ address }) => !isOfThisMachine(address)).map(exposed),
    ...egresses.filter(({ through }) => through === "").map(onOneSide),
    ...directReads.map((one) => goingDirect(one, readers)),
  ];
}

function readable({ path, kind, mode }: PrivatePath): DoctorFinding {
  const right = kind === "folder" ? "0700" : "0600";
  const what = kind === "socket" ? "others on this machine can call through it" : "others on this machine can read it";
  const message = `${path} has mode ${mode.toString(8).padStart(4, "0")}: ${what}`;
  return { code: "readable-by-others", subject: path, message, remedy: `chmod ${right} ${path}` };
}

function bypass(line: string): DoctorFinding {
  const [, proxy = "", way = line] = /^(\S+(?: \([^)]*\))?): (.*)$/.exec(line) ?? [];
  const subject = proxy || line;
  if (way.startsWith("app ")) {
    const message = `${line}: every process of that machine can call the application without the proxy`;
    const remedy = "let the application listen on a Unix socket in a folder of mode 0700, and give --app unix:PATH";
    return { code: "application-on-tcp", subject, message, remedy };
  }
  if (way.startsWith("listener ")) {
    const message = `${line}: it speaks without TLS, so what clients send can be read and changed on its way`;
    return { code: "plain-gateway", subject, message, remedy: "give the listener --cert LISTENER=CERT,KEY" };
  }
  const message = `${line}: every process of that machine can call in the name of the service`;
  return {
    code: "outbound-on-tcp",
    subject,
    message,
    remedy: "give the address as unix:PATH in a folder of mode 0700",
  };
}

function ofProblem({ code, message }: DoctorFacts["problems"][number]): readonly DoctorFinding[] {
  if (code === "proxies-unsigned")
    return [{ code: "unsigned-proxies", subject: "", message, remedy: "update these proxies, and end --unsigned-for" }];
  if (code === "nats-account")
    return [{ code: "one-nats-account", subject: "", message, remedy: "add what `ashlar nats setup` prints" }];
  return [];
}

function exposed({ what, address }: DoctorFacts["listeners"][number]): DoctorFinding {
  if (what === "admin") {
    const message = `the admin listener at ${address} can be reached from other machines: an operator's stolen key is enough to use it`;
    const remedy =
      "listen on a loopback address where operators are on this machine, or let only their addresses through";
    return { code: "admin-exposed", subject: address, message, remedy };
  }
  const message = `NATS at ${address} can be reached from other machines: a proxy's stolen credential is enough to use it`;
  return {
    code: "nats-exposed",
    subject: address,
    message,
    remedy: "let only proxies and control planes reach its port",
  };
}

function onOneSide({ name, address }: DoctorFacts["egresses"][number]): DoctorFinding {
  return {
    code: "egress-on-one-side",
    subject: name,
    message: `calls to ${name} leave the mesh from each caller's own proxy, which alone enforces policy: every machine of a caller has to reach ${address}`,
    remedy: `run \`ashlar gateway --name NAME --egress HOST:PORT\`, give \`ashlar egress set ${name}\` --through NAME, and let only the gateway's address out`,
  };
}

function goingDirect(
  { service, journal }: { readonly service: string; readonly journal: string },
  readers: readonly string[],
): DoctorFinding {
  const who = readers.length === 0 ? "none got one lately" : `lately one was given to ${readers.join(", ")}`;
  return {
    code: "reads-go-direct",
    subject: service,
    message: `reads of ${service} may come without the caller's proxy, from applications that hold a certificate of their own: ${who}`,
    remedy: `say reads: proxied in Journal ${journal} where the proxies' time is not what counts; \`ashlar revoke PROXY\` ends the certificates of that proxy's applications as well`,
  };
}

/** Returns whether only this machine can reach "HOST:PORT" or "SCHEME://HOST:PORT". */
function isOfThisMachine(address: string): boolean {
  const host = /^(?:\w+:\/\/)?(?:\[([^\]]*)\]|([^:/]*))/.exec(address);
  const name = host?.[1] ?? host?.[2] ?? "";
  return name === "localhost" || name === "::1" || /^127(\.\d{1,3}){3}$/.test(name);
}
