/** Rollout records, and the part of an activation that names a stage of a rollout. */
import {
  type RevisionRef,
  type RolloutGates as RolloutGatesMessage,
  Rollout as RolloutMessage,
  type RolloutStage as RolloutStageMessage,
  type StageOfRollout as StageOfRolloutMessage,
} from "../../proto/gen/ashlar/v1/records.js";
import { digestFromBytes } from "../digest.js";
import { AshlarError } from "../errors.js";
import { parseSpiffeId } from "../identity.js";
import type { PreparedRevision, Signed } from "../model.js";
import { gatesMax } from "../rollout/gates.js";
import {
  cohortIdsMax,
  everyoneBasisPoints,
  type Rollout,
  type RolloutGates,
  type RolloutStage,
  type StageOfRollout,
} from "../rollout/rollout-model.js";
import { checkStages, holdMsMax, stagesMax } from "../rollout/stages.js";
import type { KeySet, Signer } from "../signature.js";
import { ascending, boundedList, boundedText, integer, isProxyId, link, messageBytesMax, token } from "./bounds.js";
import {
  digestToBuffer,
  optionalDigest,
  payloadBytesMax,
  type RecordCodec,
  signWith,
  verifyWith,
} from "./record-codec.js";
import { decodeStrict, reading } from "./strict.js";

// === The stage in an activation ===

export function encodeStageOfRollout(stage: StageOfRollout): StageOfRolloutMessage {
  return {
    number: stage.number,
    digest: digestToBuffer(stage.digest),
    stage: stage.stage,
    base: encodeRef(stage.base),
    cohortBasisPoints: stage.cohort.basisPoints,
    cohortProxyIds: [...stage.cohort.proxyIds],
    paused: stage.paused,
  };
}

/** Parses the stage in an activation. Fails with `invalid_record`. */
export function parseStageOfRollout(message: StageOfRolloutMessage): StageOfRollout {
  const ids = boundedList("rollout.cohort_proxy_ids", message.cohortProxyIds, cohortIdsMax);
  const wrong = ids.find((id) => !isProxyId(id));
  if (wrong !== undefined) throw invalid("rollout.cohort_proxy_ids: not a proxy's id");
  return {
    number: integer("rollout.number", message.number, 1),
    digest: digestFromBytes(message.digest),
    stage: integer("rollout.stage", message.stage, 1, stagesMax),
    base: parseRef("rollout.base", message.base),
    cohort: {
      basisPoints: integer("rollout.cohort_basis_points", message.cohortBasisPoints, 0, everyoneBasisPoints),
      proxyIds: ascending("rollout.cohort_proxy_ids", ids, (id) => id),
    },
    paused: message.paused,
  };
}

// === The plan ===

const rolloutCodec: RecordCodec<Rollout> = {
  type: "ashlar-rollout",
  encode: (rollout) =>
    RolloutMessage.encode({
      number: rollout.number,
      previous: digestToBuffer(rollout.previous),
      candidate: encodeRef(rollout.candidate),
      base: encodeRef(rollout.base),
      stages: rollout.stages.map(encodeStage),
      holdMs: rollout.holdMs,
      gates: encodeGates(rollout.gates),
      author: rollout.author,
      reason: rollout.reason,
      timeMs: rollout.timeMs,
    }).finish(),
  parse: (payload) => {
    const message = decodeStrict(RolloutMessage, payload, "ashlar-rollout", payloadBytesMax);
    return reading("ashlar-rollout", () => {
      const stages = boundedList("stages", message.stages, stagesMax).map(parseStage);
      checkStages(stages);
      const candidate = parseRef("candidate", message.candidate);
      const base = parseRef("base", message.base);
      if (base.digest === candidate.digest) throw invalid("base and candidate are one revision");
      return {
        number: integer("number", message.number, 1),
        previous: link("previous", message.number, optionalDigest(message.previous)),
        candidate,
        base,
        stages,
        holdMs: integer("hold_ms", message.holdMs, 0, holdMsMax),
        gates: parseGates(message.gates),
        author: parseSpiffeId(message.author),
        reason: boundedText("reason", message.reason, messageBytesMax),
        timeMs: integer("time_ms", message.timeMs, 0),
      };
    });
  },
};

/** Signs a plan. Fails with `invalid_record`. */
export function signRollout(rollout: Rollout, mesh: string, signer: Signer): Signed<Rollout> {
  return signWith(rolloutCodec, rollout, mesh, signer);
}

/** Verifies and then parses a plan. Fails with `invalid_record`, or with `unauthenticated` if the key is unknown. */
export function verifyRollout(bytes: Uint8Array, mesh: string, keys: KeySet): Signed<Rollout> {
  return verifyWith(rolloutCodec, bytes, mesh, keys);
}

function encodeRef({ number, digest }: PreparedRevision): RevisionRef {
  return { number, digest: digestToBuffer(digest) };
}

function parseRef(field: string, message: RevisionRef | undefined): PreparedRevision {
  if (message === undefined) throw invalid(`${field} is missing`);
  return { number: integer(`${field}.number`, message.number, 1), digest: digestFromBytes(message.digest) };
}

/** Returns the message of a stage, for records and for the admin API. */
export function encodeStage(stage: RolloutStage): RolloutStageMessage {
  const { holdMs } = stage;
  switch (stage.kind) {
    case "count":
      return { kind: { $case: "count", value: stage.count }, holdMs };
    case "percent":
      return { kind: { $case: "basisPoints", value: stage.basisPoints }, holdMs };
    case "label":
      return { kind: { $case: "label", value: { key: stage.key, value: stage.value } }, holdMs };
  }
}

/** Parses a stage. Fails with `invalid_record`. */
export function parseStage({ kind, holdMs }: RolloutStageMessage): RolloutStage {
  const whom = parseWhom(kind);
  return holdMs === undefined ? whom : { ...whom, holdMs: integer("stages.hold_ms", holdMs, 0, holdMsMax) };
}

function parseWhom(kind: RolloutStageMessage["kind"]): RolloutStage {
  switch (kind?.$case) {
    case "count":
      return { kind: "count", count: kind.value };
    case "basisPoints":
      return { kind: "percent", basisPoints: kind.value };
    case "label":
      return {
        kind: "label",
        key: token("stages.label.key", kind.value.key, 63),
        value: boundedText("stages.label.value", kind.value.value, 253),
      };
    case undefined:
      throw invalid("a stage says neither how many nor which proxies");
  }
}

/** Returns the message of the gates, for records and for the admin API. */
export function encodeGates(gates: RolloutGates): RolloutGatesMessage {
  return {
    ...gates,
    refused: gates.refused && { ...gates.refused },
    failed: gates.failed && { ...gates.failed },
    latency: gates.latency && { ...gates.latency },
  };
}

/** Parses the gates. Fails with `invalid_record`. */
export function parseGates(message: RolloutGatesMessage | undefined): RolloutGates {
  if (message === undefined) throw invalid("gates are missing");
  const share = (name: "refused" | "failed") => {
    const gate = message[name];
    return (
      gate && {
        timesPercent: integer(`gates.${name}.times_percent`, gate.timesPercent, 0, gatesMax.timesPercent),
        moreBasisPoints: integer(`gates.${name}.more_basis_points`, gate.moreBasisPoints, 0, everyoneBasisPoints),
      }
    );
  };
  const { latency } = message;
  return {
    members: integer("gates.members", message.members, 0, gatesMax.members),
    samples: integer("gates.samples", message.samples, 0, gatesMax.samples),
    refused: share("refused"),
    failed: share("failed"),
    latency: latency && {
      timesPercent: integer("gates.latency.times_percent", latency.timesPercent, 0, gatesMax.timesPercent),
      moreMs: integer("gates.latency.more_ms", latency.moreMs, 0, gatesMax.moreMs),
    },
    lagMs: integer("gates.lag_ms", message.lagMs, 0, holdMsMax),
    rejections: message.rejections,
    predicted: message.predicted,
  };
}

function invalid(why: string): AshlarError {
  return new AshlarError("invalid_record", why);
}
