import type { NatsTrust } from "./account-claims.js";

export interface NatsConfig {
  /** Unique in a cluster; a server that answers is also recognized by it. */
  readonly serverName: string;
  readonly host: string;
  readonly port: number;
  readonly storeDir: string;
  /** The folder in which the server stores accounts that are updated while it runs. */
  readonly accountsDir: string;
  readonly pidFile: string;
  readonly logFile: string;
  readonly trust: NatsTrust;
  readonly tls: { readonly certificateFile: string; readonly keyFile: string } | undefined;
  /** Sync every write before it is acknowledged; only for servers that know the setting. */
  readonly syncAlways: boolean;
  /** Further lines, such as a cluster section. */
  readonly extra: string;
}

const quote = (text: string): string => JSON.stringify(text);

/**
 * Renders the configuration of a private nats-server: operator mode, no monitoring port, no user without credentials.
 */
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
    // A half-open connection must be noticed within a minute, because the connections of a user are counted.
    'ping_interval: "20s"',
    "ping_max: 2",
    "jetstream {",
    `  store_dir: ${quote(config.storeDir)}`,
    // the default, three quarters of what is free at the start, is less than the streams' bounds on a small disk; the
    // server would then restore only some of its streams
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
