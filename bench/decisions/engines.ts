/**
 * The policy engines that answer one question: may this caller call this method? Each is prepared once for its rules.
 */
import { createRequire } from "node:module";
import type * as Cedar from "@cedar-policy/cedar-wasm/nodejs";
import { newEnforcer, newModelFromString, StringAdapter } from "casbin";
import { compileUnit } from "../../core/policy/compile.js";
import type { CallInputs } from "../../core/policy/condition/frame.js";
import {
  asCasbin,
  asCedar,
  asUnit,
  casbinModel,
  condition,
  headers,
  mesh,
  type Question,
  type Rule,
  service,
} from "./rules.js";

export type Decide = (question: Question) => boolean;

export interface Engine {
  readonly name: string;
  readonly prepare: (rules: readonly Rule[], withCondition: boolean) => Promise<Decide>;
}

const cedar: typeof Cedar = createRequire(import.meta.url)("@cedar-policy/cedar-wasm/nodejs");
let cedarSets = 0;

const inputs: CallInputs = {
  header: (name) => headers[name],
  sourceAddress: "127.0.0.1",
  nowMs: 0,
  claims: undefined,
  destinationLabels: new Map(),
};

export const ashlar: Engine = {
  name: "ashlar",
  prepare: async (rules, withCondition) => {
    const unit = compileUnit(asUnit(rules, withCondition ? condition : undefined), mesh);
    if (withCondition) return ({ callerId, method }) => unit.evaluateCall(callerId, method, inputs).allow;
    return ({ callerId, method }) => unit.evaluate(callerId, method).allow;
  },
};

export const cedarWasm: Engine = {
  name: `cedar ${cedar.getCedarVersion()} (wasm, preparsed)`,
  prepare: async (rules, withCondition) => {
    const id = `set-${++cedarSets}`;
    const parsed = cedar.preparsePolicySet(id, { staticPolicies: asCedar(rules, withCondition) });
    if (parsed.type !== "success") throw new Error(`cedar refused the rules: ${JSON.stringify(parsed).slice(0, 300)}`);
    const context = { region: "eu", tier: "gold" };
    return ({ caller, method }) => {
      const answer = cedar.statefulIsAuthorized({
        principal: { type: "Service", id: caller },
        action: { type: "Action", id: method },
        resource: { type: "Service", id: service },
        context,
        preparsedPolicySetId: id,
        entities: [],
      });
      return answer.type === "success" && answer.response.decision === "allow";
    };
  },
};

export const casbin: Engine = {
  name: "casbin",
  prepare: async (rules, withCondition) => {
    const model = newModelFromString(casbinModel(withCondition));
    const enforcer = await newEnforcer(model, new StringAdapter(asCasbin(rules)));
    const read = { region: "eu", tier: "gold" };
    if (withCondition) return ({ caller, method }) => enforcer.enforceSync(caller, method, read);
    return ({ caller, method }) => enforcer.enforceSync(caller, method);
  },
};
