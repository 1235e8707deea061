/** The admin API's method that makes a login link for the console. */
import { AshlarError } from "../../core/errors.js";
import type { AdminServiceService } from "../../proto/gen/ashlar/v1/admin.js";
import type { CreateConsoleLinkRequest, CreateConsoleLinkResponse } from "../../proto/gen/ashlar/v1/console.js";
import type { Implementation } from "../../runtime/grpc-handlers.js";
import type { OperatorCaller } from "../activate/operator-caller.js";
import { type OperatedDeps, operatedBy } from "../admin/operated.js";
import { audited } from "../audit/audit-trail.js";
import type { ConsoleDesk } from "./console-desk.js";

export interface ConsoleMethodsDeps extends OperatedDeps {
  readonly console: ConsoleDesk;
}

type ConsoleMethods = Pick<Implementation<typeof AdminServiceService>, "createConsoleLink">;

export function consoleMethods(deps: ConsoleMethodsDeps): ConsoleMethods {
  return {
    createConsoleLink: operatedBy(deps)((request, caller) => {
      const detail = request.readOnly ? "to look alone" : "";
      const what = { action: "login" as const, target: "console link", caller, detail };
      return audited(deps.audit, what, async () => createLink(deps.console, request, caller));
    }),
  };
}

function createLink(
  { links, sessions, served }: ConsoleDesk,
  { readOnly, endSessions }: CreateConsoleLinkRequest,
  { id, certificateSerial = "", certificateExpiresMs = 0, viaConsole }: OperatorCaller,
): CreateConsoleLinkResponse {
  if (viaConsole === true)
    throw new AshlarError("denied", "a session of the console makes no links, which would make it longer");
  if (served === undefined)
    throw new AshlarError("not_found", "this control plane serves no console: start it with --console HOST:PORT");
  if (endSessions) links.endOf(id);
  const endedSessions = endSessions ? sessions.endOf(id) : 0;
  const { token, expiresMs } = links.create({ id, certificateSerial, certificateExpiresMs, readOnly });
  return {
    url: `${served.url}/login?token=${token}`,
    expiresMs,
    certificateSha256: served.certificateSha256(),
    certificateOfMesh: served.certificateOfMesh,
    endedSessions,
  };
}
