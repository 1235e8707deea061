/** `ashlar gateway`: lets outside clients in to what policy exposes. */
import type { ConfigSources } from "../../runtime/config.js";
import { parseGatewayConfig } from "../config.js";
import { hostOf } from "../host/host-config.js";
import { runMain } from "../main.js";
import { createGatewayCommand } from "./command.js";

/** Runs until SIGTERM or SIGINT. `argv` without node and script. Returns the exit code. */
export function main(argv: readonly string[], env: ConfigSources["env"]): Promise<number> {
  return runMain(argv, env, createGatewayCommand, (sources, cwd) => hostOf(parseGatewayConfig(sources, cwd), sources));
}
