/** Shows the control planes with their signing keys, and NATS, with their problems. */
import { call } from "../../api/client.js";
import type { Problem, SigningKeyInfo } from "../../api/messages.js";
import { counted, renderMs } from "../../format/amounts.js";
import { clip } from "../../format/names.js";
import { Shown } from "../../parts/states.js";
import { Badge, Id } from "../../parts/words.js";
import { useLoaded } from "../../state/use-loaded.js";
import { useMesh } from "../../state/use-mesh.js";
import {
  joinPlanes,
  type Plane,
  problemsOfParts,
  renderAway,
  type ServerState,
  stateOfPlane,
  stateOfServer,
} from "./parts-of-mesh.js";

const everyMs = 10_000;

async function load(signal: AbortSignal) {
  const [keys, parts] = await Promise.all([call("ListSigningKeys", {}, signal), call("ListControlPlanes", {}, signal)]);
  return { keys, parts, planes: joinPlanes(parts.controlPlanes, keys.signingKeys) };
}

export function ControlPlanes() {
  const { status, turn } = useMesh();
  const known = status.value !== undefined;
  const [loaded, again] = useLoaded("planes", load, { everyMs, when: [turn] });
  const away = renderAway(loaded.value?.parts.natsServers ?? []);
  const { controlPlane, nats } = problemsOfParts(status.value?.problemDetails ?? []);
  return (
    <div class="columns">
      <section class="card" aria-label="Control planes">
        <header>
          <h2>Control planes</h2>
          <Verdict problems={controlPlane} known={known} />
        </header>
        <Shown of={loaded} what="the control planes" again={again}>
          {({ keys, planes, parts }) => (
            <>
              <Planes planes={planes} natsConnected={parts.natsConnected} />
              <div class="card-body row quiet">
                <span>Trust record {keys.sequence}</span>
                <span>{counted(keys.revocations, "revoked certificate")}</span>
                <span>
                  Root <Id id={keys.rootHash} length={16} />
                </span>
              </div>
            </>
          )}
        </Shown>
        <ProblemList problems={controlPlane} />
      </section>
      <section class="card" aria-label="NATS and the logs">
        <header>
          <h2>NATS and the logs</h2>
          <Verdict problems={nats} known={known} warning={away} />
        </header>
        <Shown of={loaded} what="the servers of NATS" again={again}>
          {({ parts }) => <Servers servers={parts.natsServers.map(stateOfServer)} />}
        </Shown>
        <ProblemList problems={nats} />
        {away !== "" && <p class="card-body">{away}</p>}
        {nats.length === 0 && away === "" && (
          <p class="card-body quiet">
            {known
              ? "The control plane that answers you sees nothing wrong with NATS, its streams and the logs."
              : "Nothing is known yet."}
          </p>
        )}
      </section>
    </div>
  );
}

function Planes({ planes, natsConnected }: { readonly planes: readonly Plane[]; readonly natsConnected: boolean }) {
  return (
    <div class="table-frame">
      <table class="table">
        <thead>
          <tr>
            <th scope="col">Control plane</th>
            <th scope="col">State</th>
            <th scope="col">Signing keys</th>
          </tr>
        </thead>
        <tbody>
          {planes.map((plane) => (
            <PlaneRow key={plane.name} plane={plane} natsConnected={natsConnected} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function PlaneRow({ plane, natsConnected }: { readonly plane: Plane; readonly natsConnected: boolean }) {
  const { word, tone } = stateOfPlane(plane, natsConnected);
  return (
    <tr>
      <th scope="row">{clip(plane.name, 60)}</th>
      <td>
        <Badge tone={tone}>{word}</Badge>
        {plane.info?.silent === true && <div class="why quiet">said nothing for {renderMs(plane.info.heardAgoMs)}</div>}
      </td>
      <td>
        {plane.keys.map((key) => (
          <Key key={key.kid} signingKey={key} />
        ))}
      </td>
    </tr>
  );
}

function Key({ signingKey: { kid, signedActive } }: { readonly signingKey: SigningKeyInfo }) {
  return (
    <div class="row">
      <Id id={kid} length={16} />
      {signedActive && <Badge tone="accent">signed what is active</Badge>}
    </div>
  );
}

function Servers({ servers }: { readonly servers: readonly ServerState[] }) {
  if (servers.length === 0) return null;
  return (
    <div class="table-frame">
      <table class="table">
        <thead>
          <tr>
            <th scope="col">NATS server</th>
            <th scope="col">Name</th>
            <th scope="col">State</th>
          </tr>
        </thead>
        <tbody>
          {servers.map(({ address, name, word, tone }) => (
            <tr key={address}>
              <th scope="row">
                <code>{clip(address, 80)}</code>
              </th>
              <td>{clip(name, 60)}</td>
              <td>
                <Badge tone={tone}>{word}</Badge>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

interface VerdictProps {
  readonly problems: readonly Problem[];
  readonly known: boolean;
  /** What is wrong but is not reported as a problem of the mesh. Empty: nothing. */
  readonly warning?: string;
}

function Verdict({ problems, known, warning = "" }: VerdictProps) {
  if (!known) return null;
  if (problems.length === 0 && warning !== "") return <Badge tone="warn">needs a look</Badge>;
  return problems.length === 0 ? (
    <Badge tone="ok">no problem</Badge>
  ) : (
    <Badge tone="bad">{counted(problems.length, "problem")}</Badge>
  );
}

function ProblemList({ problems }: { readonly problems: readonly Problem[] }) {
  if (problems.length === 0) return null;
  return (
    <ul class="card-body stack">
      {problems.map((problem) => (
        <li key={`${problem.code} ${problem.message}`} class="wrap">
          <Badge tone="bad">{problem.code}</Badge> {problem.message}
        </li>
      ))}
    </ul>
  );
}
