/**
 * Lets an operator state what became of a write with an unknown outcome. The statement is signed, audited and final.
 */
import { useState } from "preact/hooks";
import { call } from "../../api/client.js";
import type { JournalEntryInfo } from "../../api/record-messages.js";
import { Field, Select } from "../../parts/controls.js";
import { Dialog } from "../../parts/dialog.js";
import { Notice } from "../../parts/states.js";
import { problemOf } from "../../state/loaded.js";
import { isConfirmed } from "../revisions/access-effect.js";

interface ResolveProps {
  readonly entry: JournalEntryInfo;
  readonly onClose: () => void;
  readonly onDone: () => void;
}

/**
 * Returns the code that a repeat of the write gets: OK if the write was applied, else ABORTED, after which callers may
 * retry.
 */
const codeOf = (applied: boolean): number => (applied ? 0 : 10);

export function ResolveDialog({ entry, onClose, onDone }: ResolveProps) {
  const [outcome, setOutcome] = useState("");
  const [reason, setReason] = useState("");
  const [typed, setTyped] = useState("");
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);
  const expected = `resolve ${entry.service} ${entry.sequence}`;
  const ready = outcome !== "" && reason.trim() !== "" && isConfirmed(typed, expected.toLowerCase()) && !busy;
  const submit = async (): Promise<void> => {
    if (!ready) return;
    setBusy(true);
    const applied = outcome === "applied";
    try {
      const { service, sequence } = entry;
      await call("ResolveJournalEntry", { service, sequence, applied, code: codeOf(applied), reason });
      onDone();
      onClose();
    } catch (error) {
      setProblem(problemOf(error).message);
      setBusy(false);
    }
  };
  return (
    <Dialog
      title={`What became of entry ${entry.sequence} of ${entry.service}`}
      onClose={onClose}
      onSubmit={() => void submit()}
      footer={
        <button type="submit" class="button primary" disabled={!ready}>
          Sign it
        </button>
      }
    >
      <p>
        Look into the application first. Later writes of the same order key wait for this one, and go on by what you say
        here.
      </p>
      <Select
        label="The application"
        value={outcome}
        onChange={setOutcome}
        options={[
          ["", "choose"],
          ["applied", "applied it: repeats get OK"],
          ["not-applied", "never applied it and never will: repeats get ABORTED"],
        ]}
      />
      <Field label="How you found out" value={reason} onChange={setReason} required />
      <Field label={`Type “${expected}” to confirm`} value={typed} onChange={setTyped} required />
      {problem && (
        <Notice tone="bad" title="Nothing was changed">
          <p>{problem}</p>
        </Notice>
      )}
    </Dialog>
  );
}
