/** Lists every caller of a method, now or at some time. */
import { useState } from "preact/hooks";
import { call } from "../../api/client.js";
import type { AnswerOf } from "../../api/methods.js";
import { clip, shortIdentity } from "../../format/names.js";
import { Field } from "../../parts/controls.js";
import { Empty, Notice } from "../../parts/states.js";
import { Badge, Revision } from "../../parts/words.js";
import { problemOf } from "../../state/loaded.js";
import type { Place } from "../../state/place.js";
import type { Names } from "./names.js";

type Listed = AnswerOf<"ListAccess">;

export function WhoCan({ place, names }: { readonly place: Place; readonly names: Names }) {
  const [service, setService] = useState(place.filters.service ?? "");
  const [method, setMethod] = useState(place.filters.method ?? "");
  const [at, setAt] = useState("");
  const [listed, setListed] = useState<Listed>();
  const [problem, setProblem] = useState("");
  const ask = async (event: Event): Promise<void> => {
    event.preventDefault();
    setProblem("");
    try {
      const atMs = at === "" ? 0 : new Date(at).getTime();
      setListed(await call("ListAccess", { service, method, atMs: String(atMs) }));
    } catch (error) {
      setListed(undefined);
      setProblem(problemOf(error).message);
    }
  };
  return (
    <>
      <form class="tools" onSubmit={(event) => void ask(event)}>
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
        <label class="field">
          <span>At (empty: now)</span>
          <input
            class="input"
            type="datetime-local"
            step="1"
            value={at}
            onInput={(event) => setAt(event.currentTarget.value)}
          />
        </label>
        <button type="submit" class="button primary low">
          Who can?
        </button>
      </form>
      {problem && (
        <Notice tone="bad" title="There is no answer">
          <p>{problem}</p>
        </Notice>
      )}
      {listed && <Callers listed={listed} />}
    </>
  );
}

const tones = { allowed: "ok", conditional: "warn", denied: "bad" } as const;

function Callers({ listed }: { readonly listed: Listed }) {
  return (
    <div class="stack" aria-live="polite">
      <p>
        By revision <Revision number={listed.revision} />
        {listed.epoch > 0 && <span class="quiet">, epoch {listed.epoch}</span>}
        {listed.rollout && (
          <span class="quiet">
            ; rollout {listed.rollout.number} was at stage {listed.rollout.stage}, its cohort had revision{" "}
            {listed.rollout.candidate}
          </span>
        )}
      </p>
      {listed.reason && <p>{listed.reason}</p>}
      {listed.callers.length === 0 ? (
        <Empty icon="shield" title="Nobody may call it" />
      ) : (
        <div class="table-frame">
          <table class="table">
            <thead>
              <tr>
                <th scope="col">Caller</th>
                <th scope="col">May it</th>
                <th scope="col">Rule</th>
                <th scope="col">Condition</th>
              </tr>
            </thead>
            <tbody>
              {listed.callers.slice(0, 500).map((entry) => (
                <tr key={entry.caller}>
                  <th scope="row" title={entry.caller}>
                    {entry.caller === "*" ? "everyone else" : clip(shortIdentity(entry.caller), 80)}
                  </th>
                  <td>
                    <Badge tone={tones[entry.access as keyof typeof tones] ?? "plain"}>{entry.access}</Badge>
                  </td>
                  <td class="wrap">
                    <code>{clip(entry.rule, 120)}</code>
                    {entry.judgedMethod && <div class="quiet">judged as {clip(entry.judgedMethod, 120)}</div>}
                  </td>
                  <td class="wrap">{entry.condition && <code>{clip(entry.condition, 400)}</code>}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </div>
  );
}
