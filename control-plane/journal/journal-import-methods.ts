/** The admin API's methods that import a journal. */
import { AshlarError } from "../../core/errors.js";
import { isLabel } from "../../core/identity.js";
import { refuseUnknownFields } from "../../core/wire/strict.js";
import type { AdminServiceService } from "../../proto/gen/ashlar/v1/admin.js";
import { type Implementation, serverStreaming } from "../../runtime/grpc-handlers.js";
import { authorize, type OperatedDeps, operatedBy } from "../admin/operated.js";
import { audited } from "../audit/audit-trail.js";
import { importPage } from "./import-page.js";
import {
  beginImport,
  finishImport,
  giveUpImport,
  type JournalImporterDeps,
  type JournalImporting,
} from "./journal-importer.js";

export interface JournalImportMethodsDeps extends OperatedDeps, Omit<JournalImporterDeps, keyof JournalImporting> {
  readonly journalImporting: JournalImporting;
}

type ImportMethods = Pick<Implementation<typeof AdminServiceService>, "importJournal" | "finishJournalImport">;

const pageMessagesMax = 1000;
const rememberMsMax = 7 * 24 * 3_600_000;

/** Refuses a name that is no label, because the name becomes part of a credential's permissions. */
function requireLabel(service: string): void {
  if (!isLabel(service))
    throw new AshlarError("invalid_argument", `service: ${JSON.stringify(service.slice(0, 80))} is no name of one`);
}

export function journalImportMethods(given: JournalImportMethodsDeps): ImportMethods {
  const deps: JournalImporterDeps & OperatedDeps = { ...given, ...given.journalImporting };
  const operated = operatedBy(deps);
  return {
    importJournal: operated(async ({ service, part }, caller, signal) => {
      requireLabel(service);
      if (part === undefined) throw new AshlarError("invalid_argument", "part: say what is imported");
      if (part.$case === "page") {
        const { messages, remembered } = part.value;
        if (messages.length > pageMessagesMax)
          throw new AshlarError(
            "invalid_argument",
            `messages: ${messages.length}, at most ${pageMessagesMax} are taken`,
          );
        await importPage(deps, service, messages, remembered, signal);
      } else if (part.$case === "begin") {
        const { reason, ...of } = part.value;
        if (reason.trim() === "") throw new AshlarError("invalid_argument", "reason: say why");
        if (of.first < 1 || of.rememberMs > rememberMsMax)
          throw new AshlarError("invalid_argument", "first: from 1 on; remember_ms: at most 168h");
        const what = { action: "import" as const, target: `${service} begins`, caller, detail: reason };
        await audited(deps.audit, what, () => beginImport(deps, { service, ...of }, signal));
      } else {
        const what = { action: "import" as const, target: `${service} given up`, caller, detail: "" };
        await audited(deps.audit, what, () => giveUpImport(deps, service, signal));
      }
      return {};
    }),
    finishJournalImport: serverStreaming(async function* (request, context) {
      const caller = await authorize(deps, context);
      refuseUnknownFields(request, "the request");
      const { service, reason } = request;
      requireLabel(service);
      const what = { action: "import" as const, target: service, caller, detail: reason };
      const parts = finishImport(deps, request, context.signal);
      for (;;) {
        const next = await parts
          .next()
          .catch((error: unknown) => audited(deps.audit, what, () => Promise.reject(error)));
        if (next.done === true) return;
        const detail = `${next.value.messages} messages${reason === "" ? "" : `: ${reason}`}`;
        if (next.value.done) await audited(deps.audit, { ...what, detail }, () => Promise.resolve());
        yield next.value;
      }
    }),
  };
}
