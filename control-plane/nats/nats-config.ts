import type { NatsTrust } from "./account-claims.js";

export interface NatsConfig {
  /** Unique in a cluster; also how an answering server is recognised. */
  readonly serverName: string;
  readonly host: string;
  readonly port: number;
  readonly storeDir: string;
  /** Where the server keeps accounts that were updated while it ran. */
  readonly accountsDir: string;
  readonly pidFile: string;
  readonly logFile: string;
  readonly trust: NatsTrust;
  readonly tls: { readonly certificateFile: string; readonly keyFile: string } | undefined;
  /** Sync every write before it is acknowledged; only for servers that know it. */
  readonly syncAlways: boolean;
  /** Lines of a cluster section and the like. */
  readonly extra: string;
}

const quote = (text: string): string => JSON.stringify(text);

/** The configuration of a private nats-server: operator mode, no monitoring port, no user without credentials. */
export function renderNatsConfig(config: NatsConfig): string {
  const { trust, tls } = config;
  return [
    `server_name: ${quote(config.serverName)}`,
    `host: ${quote(config.host)}`,
    `port: ${config.port}`,
    `pid_file: ${quote(config.pidFile)}`,
    `log_file: ${quote(config.logFile)}`,
    "logfile_size_limit: 16MB",
    "lame_duck_duration: 30s",
    `operator: ${trust.operatorJwt}`,
    `system_account: ${trust.systemAccount}`,
    "resolver {",
    "  type: full",
    `  dir: ${quote(config.accountsDir)}`,
    "  allow_delete: false",
    '  interval: "2m"',
    "}",
    `resolver_preload: { ${trust.accounts.map(({ account, jwt }) => `${account}: ${jwt}`).join(", ")} }`,
    // A connection that is half open is noticed within a minute: connections of a user are counted.
    'ping_interval: "20s"',
    "ping_max: 2",
    "jetstream {",
    `  store_dir: ${quote(config.storeDir)}`,
    // the default, three quarters of what is free at the start, is less than the streams' bounds on a small disk: then the
    // server restores some of its streams and not others
    "  max_file_store: 1TB",
    ...(config.syncAlways ? ["  sync_interval: always"] : []),
    "}",
    ...(tls === undefined
      ? []
      : [`tls { cert_file: ${quote(tls.certificateFile)}, key_file: ${quote(tls.keyFile)}, timeout: 5 }`]),
    config.extra,
    "",
  ].join("\n");
}
