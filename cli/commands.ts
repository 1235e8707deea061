/** The commands that ask the control plane, or nobody. Each is loaded when it is needed. */
import type { Command } from "commander";
import type { Cli } from "./cli.js";

/** Adds a command and its subcommands to the program. */
type AddCommand = (program: Command, cli: Cli) => void;

/**
 * Loaders of commands in the order of the help. Loading all takes longer than most calls, so only the needed one is
 * loaded.
 */
const loaders: Readonly<Record<string, () => Promise<AddCommand>>> = {
  token: async () => (await import("./commands/token.js")).addTokenCommand,
  issuer: async () => (await import("./commands/issuer.js")).addIssuerCommand,
  egress: async () => (await import("./commands/egress.js")).addEgressCommand,
  trust: async () => (await import("./commands/trust.js")).addTrustCommand,
  revoke: async () => (await import("./commands/revoke.js")).addRevokeCommand,
  recover: async () => (await import("./commands/recover.js")).addRecoverCommand,
  apply: async () => (await import("./commands/apply.js")).addApplyCommand,
  diff: async () => (await import("./commands/diff.js")).addDiffCommand,
  log: async () => (await import("./commands/log.js")).addLogCommand,
  show: async () => (await import("./commands/show.js")).addShowCommand,
  activate: async () => (await import("./commands/activate.js")).addActivateCommand,
  approve: async () => (await import("./commands/approve.js")).addApproveCommand,
  rollback: async () => (await import("./commands/rollback.js")).addRollbackCommand,
  rollout: async () => (await import("./commands/rollout.js")).addRolloutCommand,
  shadow: async () => (await import("./commands/shadow.js")).addShadowCommand,
  wait: async () => (await import("./commands/wait.js")).addWaitCommand,
  status: async () => (await import("./commands/status.js")).addStatusCommand,
  services: async () => (await import("./commands/services.js")).addServicesCommand,
  proxies: async () => (await import("./commands/proxies.js")).addProxiesCommand,
  console: async () => (await import("./commands/console.js")).addConsoleCommand,
  doctor: async () => (await import("./commands/doctor.js")).addDoctorCommand,
  blame: async () => (await import("./commands/blame.js")).addBlameCommand,
  can: async () => (await import("./commands/can.js")).addCanCommand,
  "who-can": async () => (await import("./commands/who-can.js")).addWhoCanCommand,
  audit: async () => (await import("./commands/audit.js")).addAuditCommand,
  tap: async () => (await import("./commands/tap.js")).addTapCommand,
  top: async () => (await import("./commands/top.js")).addTopCommand,
  journal: async () => (await import("./commands/journal.js")).addJournalCommand,
  nats: async () => (await import("./commands/nats.js")).addNatsCommand,
  schema: async () => (await import("./commands/schema.js")).addSchemaCommand,
  test: async () => (await import("./commands/test.js")).addTestCommand,
  export: async () => (await import("./commands/export.js")).addExportCommand,
  import: async () => (await import("./commands/import.js")).addImportCommand,
  drift: async () => (await import("./commands/drift.js")).addDriftCommand,
  decisions: async () => (await import("./commands/decisions.js")).addDecisionsCommand,
  explain: async () => (await import("./commands/explain.js")).addExplainCommand,
  replay: async () => (await import("./commands/replay.js")).addReplayCommand,
};

/** Loads the command that `argv` names, or all commands if it names none: for the help, and to suggest a name. */
export async function loadCommands(argv: readonly string[]): Promise<readonly AddCommand[]> {
  const name = argv[argv[0] === "--context" ? 2 : 0] ?? "";
  const asked = Object.hasOwn(loaders, name) ? [loaders[name]] : Object.values(loaders);
  const commands: AddCommand[] = [];
  for (const load of asked) if (load !== undefined) commands.push(await load());
  return commands;
}
