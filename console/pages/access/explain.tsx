/** Explains one recorded call: the decision, its rule, the inputs, and what the present policy would decide. */
import { Fragment } from "preact";
import { useState } from "preact/hooks";
import { call } from "../../api/client.js";
import type { Decision } from "../../api/record-messages.js";
import { renderVerdict } from "../../format/codes.js";
import { clip } from "../../format/names.js";
import { renderTime } from "../../format/times.js";
import { Field } from "../../parts/controls.js";
import { Notice, Shown } from "../../parts/states.js";
import { Badge, Revision } from "../../parts/words.js";
import { useLoaded } from "../../state/use-loaded.js";
import { goTo } from "../../state/use-place.js";
import { explainRefusal } from "../mesh/refusal-list.js";
import { Verdict } from "./can-form.js";
import { requestOf } from "./replay.js";
import { decisionId } from "./requests.js";

export function Explain({ id }: { readonly id: string }) {
  const [typed, setTyped] = useState(id === "" ? "" : decisionId(id));
  const submit = (event: Event): void => {
    event.preventDefault();
    goTo({ page: "access", item: decisionId(typed), filters: { view: "explain" } });
  };
  return (
    <>
      <form class="tools" onSubmit={submit}>
        <Field
          label="Id of the decision"
          value={typed}
          onChange={setTyped}
          required
          placeholder="24 hexadecimal digits"
          hint="Refused calls get it in ashlar-decision; tap and the access log have it too."
        />
        <button type="submit" class="button primary">
          Explain
        </button>
      </form>
      {id !== "" && <Explained id={decisionId(id)} />}
    </>
  );
}

function Explained({ id }: { readonly id: string }) {
  const [found, again] = useLoaded(`decision ${id}`, (signal) => call("GetDecision", { id }, signal));
  return (
    <Shown of={found} what="the decision" again={again}>
      {({ decision, proxyId }) =>
        decision === undefined ? null : (
          <>
            <Told decision={decision} proxyId={proxyId} />
            <Now decision={decision} />
          </>
        )
      }
    </Shown>
  );
}

function Told({ decision, proxyId }: { readonly decision: Decision; readonly proxyId: string }) {
  const verdict = renderVerdict(decision.verdict);
  const inputs = [
    ...decision.headers.map(({ name, state, value }) => [`header ${name}`, recorded(state, value)] as const),
    ...decision.labels.map(({ key, value }) => [`label ${key}`, value] as const),
    ...(decision.tokenIssuer ? ([["token of", decision.tokenIssuer]] as const) : []),
    ...(decision.sourceAddress ? ([["address", decision.sourceAddress]] as const) : []),
  ];
  const facts: readonly (readonly [string, string])[] = [
    ["Caller", decision.caller],
    ["Method", decision.method],
    ["Service", decision.service],
    ["When", renderTime(decision.timeMs)],
    ["Rule", decision.rule],
    ["Epoch", String(decision.epoch)],
    ["Version", decision.version],
    ["Decided by proxy", proxyId],
  ];
  return (
    <Notice tone={verdict.tone === "ok" ? "ok" : "bad"}>
      <div class="stack">
        <div class="row">
          <Badge tone={verdict.tone}>{verdict.word}</Badge>
          <span>
            by revision <Revision number={decision.revision} />
          </span>
        </div>
        {verdict.tone !== "ok" && <p class="wrap">{explainRefusal(decision)}</p>}
        <dl class="facts">
          {[...facts, ...inputs]
            .filter(([, value]) => value !== "")
            .map(([name, value]) => (
              <Fragment key={name}>
                <dt>{clip(name, 80)}</dt>
                <dd>{clip(value, 400)}</dd>
              </Fragment>
            ))}
        </dl>
      </div>
    </Notice>
  );
}

function recorded(state: string, value: string): string {
  switch (state) {
    case "RECORDED_STATE_WHOLE":
      return value === "" ? "(empty)" : value;
    case "RECORDED_STATE_MISSING":
      return "(there was none)";
    case "RECORDED_STATE_WITHHELD":
      return "(a credential: nothing is recorded)";
    default:
      return "(its digest alone is recorded)";
  }
}

/** Shows what the present policy decides about the same call. */
function Now({ decision }: { readonly decision: Decision }) {
  const load = (signal: AbortSignal) => call("CheckAccess", requestOf(decision, 0), signal);
  const [answer, again] = useLoaded(`now ${decision.id}`, load);
  if (decision.direction !== "DIRECTION_INBOUND") return null;
  return (
    <div class="stack">
      <h3>The same call now</h3>
      <Shown of={answer} what="the verdict of now" again={again}>
        {(value) => <Verdict answer={value} />}
      </Shown>
    </div>
  );
}
