/** A form that asks whether one caller may make one call, and by which rule. */
import { useState } from "preact/hooks";
import { call } from "../../api/client.js";
import type { CheckedAccess } from "../../api/record-messages.js";
import { clip } from "../../format/names.js";
import { Field } from "../../parts/controls.js";
import { Notice } from "../../parts/states.js";
import { Revision } from "../../parts/words.js";
import { problemOf } from "../../state/loaded.js";
import type { Place } from "../../state/place.js";
import type { Names } from "./names.js";
import { checkClaims, parseHeaders } from "./requests.js";

type Answer =
  | { readonly kind: "none" }
  | { readonly kind: "asking" }
  | { readonly kind: "told"; readonly answer: CheckedAccess }
  | { readonly kind: "failed"; readonly message: string };

export function CanForm({ place, names }: { readonly place: Place; readonly names: Names }) {
  const [caller, setCaller] = useState(place.filters.caller ?? "");
  const [service, setService] = useState(place.filters.service ?? "");
  const [method, setMethod] = useState(place.filters.method ?? "");
  const [revision, setRevision] = useState("");
  const [headers, setHeaders] = useState("");
  const [claims, setClaims] = useState("");
  const [answer, setAnswer] = useState<Answer>({ kind: "none" });
  const parsed = parseHeaders(headers);
  const problem = parsed.problem || checkClaims(claims);
  const ask = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (problem !== "") return;
    setAnswer({ kind: "asking" });
    try {
      const request = { caller, service, method, revision: Number(revision) || 0, headers: parsed.headers, claims };
      setAnswer({ kind: "told", answer: await call("CheckAccess", request) });
    } catch (error) {
      setAnswer({ kind: "failed", message: problemOf(error).message });
    }
  };
  return (
    <div class="columns">
      <form class="stack" onSubmit={(event) => void ask(event)}>
        <Field
          label="Caller"
          value={caller}
          onChange={setCaller}
          list={names.callers}
          required
          placeholder="checkout"
          hint="A service, gateway/NAME, or a SPIFFE ID."
        />
        <Field
          label="Service"
          value={service}
          onChange={setService}
          list={names.services}
          required
          placeholder="payments"
        />
        <Field
          label="Method"
          value={method}
          onChange={setMethod}
          list={names.methods}
          required
          placeholder="shop.Payments/Charge"
        />
        <Field label="Revision" value={revision} onChange={setRevision} placeholder="the active one" />
        <Field
          label="Headers"
          value={headers}
          onChange={setHeaders}
          lines={2}
          placeholder="x-user: ada"
          hint="One a line, for conditions that read them."
        />
        <Field
          label="Claims of the token"
          value={claims}
          onChange={setClaims}
          lines={2}
          placeholder='{ "team": "money" }'
        />
        <p class="bad-text">{problem}</p>
        <button type="submit" class="button primary own-size" disabled={problem !== "" || answer.kind === "asking"}>
          May it call?
        </button>
      </form>
      <Told answer={answer} />
    </div>
  );
}

function Told({ answer }: { readonly answer: Answer }) {
  return (
    <div aria-live="polite">
      {answer.kind === "failed" && (
        <Notice tone="bad" title="There is no answer">
          <p>{answer.message}</p>
        </Notice>
      )}
      {answer.kind === "told" && <Verdict answer={answer.answer} />}
    </div>
  );
}

export function Verdict({ answer }: { readonly answer: CheckedAccess }) {
  return (
    <Notice tone={answer.allowed ? "ok" : "bad"} title={answer.allowed ? "Allowed" : "Denied"}>
      <p>{answer.reason}</p>
      <dl class="facts">
        <dt>Rule</dt>
        <dd>
          <code>{clip(answer.rule, 200)}</code>
        </dd>
        <dt>Revision</dt>
        <dd>
          <Revision number={answer.revision} />
          {answer.epoch > 0 && <span class="quiet"> in force at epoch {answer.epoch}</span>}
        </dd>
        {answer.judgedMethod && (
          <>
            <dt>Judged as</dt>
            <dd>
              <code>{clip(answer.judgedMethod, 200)}</code>
            </dd>
          </>
        )}
        {answer.limits.map((limit) => (
          <>
            <dt key={limit.name}>Limit</dt>
            <dd>
              <code>{clip(limit.name, 120)}</code> {limit.rate}, burst {limit.burst}
              {limit.per.length > 0 && ` for each ${limit.per.join(", ")}`}
            </dd>
          </>
        ))}
      </dl>
    </Notice>
  );
}
