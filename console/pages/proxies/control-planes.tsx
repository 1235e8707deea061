/** Control planes with the keys they sign by, and NATS: what is wrong with them stands here beside the proxies. */
import { call } from "../../api/client.js";
import type { Problem, SigningKeyInfo } from "../../api/messages.js";
import { counted } from "../../format/amounts.js";
import { Shown } from "../../parts/states.js";
import { Badge, Id } from "../../parts/words.js";
import { useLoaded } from "../../state/use-loaded.js";
import { useMesh } from "../../state/use-mesh.js";
import { problemsOfParts } from "./parts-of-mesh.js";

export function ControlPlanes() {
  const { status } = useMesh();
  const known = status.value !== undefined;
  const { controlPlane, nats } = problemsOfParts(status.value?.problemDetails ?? []);
  const all = [...nats, ...controlPlane];
  return (
    <div class="columns">
      <section class="card" aria-label="Control planes">
        <header>
          <h2>Control planes</h2>
          <Verdict problems={controlPlane} known={known} />
        </header>
        <Keys />
      </section>
      <section class="card" aria-label="NATS and the logs">
        <header>
          <h2>NATS and the logs</h2>
          <Verdict problems={nats} known={known} />
        </header>
        <div class="card-body">
          {all.length > 0 ? (
            <ProblemList problems={all} />
          ) : (
            <p class="quiet">
              {known
                ? "The control plane that answers you sees nothing wrong with NATS, its streams and the logs."
                : "Nothing is known yet."}
            </p>
          )}
        </div>
      </section>
    </div>
  );
}

function Keys() {
  const { turn } = useMesh();
  const load = (signal: AbortSignal) => call("ListSigningKeys", {}, signal);
  const [keys, again] = useLoaded("keys", load, { everyMs: 15_000, when: [turn] });
  return (
    <Shown of={keys} what="the control planes" again={again}>
      {({ signingKeys, sequence, revocations, rootHash }) => (
        <>
          <div class="table-frame">
            <table class="table">
              <thead>
                <tr>
                  <th scope="col">Control plane</th>
                  <th scope="col">Signing key</th>
                  <th scope="col">Use</th>
                </tr>
              </thead>
              <tbody>
                {signingKeys.map((key) => (
                  <KeyRow key={key.kid} signingKey={key} />
                ))}
              </tbody>
            </table>
          </div>
          <div class="card-body row quiet">
            <span>Trust record {sequence}</span>
            <span>{counted(revocations, "revoked certificate")}</span>
            <span>
              Root <Id id={rootHash} length={16} />
            </span>
          </div>
        </>
      )}
    </Shown>
  );
}

function KeyRow({ signingKey: { kid, holder, inUse, signedActive } }: { readonly signingKey: SigningKeyInfo }) {
  return (
    <tr>
      <th scope="row">{holder}</th>
      <td>
        <Id id={kid} length={16} />
      </td>
      <td>
        <div class="row">
          {inUse && <Badge tone="ok">answers you</Badge>}
          {signedActive && <Badge tone="accent">signed what is active</Badge>}
          {!inUse && !signedActive && <span class="quiet">trusted</span>}
        </div>
      </td>
    </tr>
  );
}

function Verdict({ problems, known }: { readonly problems: readonly Problem[]; readonly known: boolean }) {
  if (!known) return null;
  return problems.length === 0 ? (
    <Badge tone="ok">no problem</Badge>
  ) : (
    <Badge tone="bad">{counted(problems.length, "problem")}</Badge>
  );
}

function ProblemList({ problems }: { readonly problems: readonly Problem[] }) {
  return (
    <ul class="stack">
      {problems.map((problem) => (
        <li key={`${problem.code} ${problem.message}`} class="wrap">
          <Badge tone="bad">{problem.code}</Badge> {problem.message}
        </li>
      ))}
    </ul>
  );
}
