/** The expressions in the dashboards and alert rules of deploy/. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";

export const rulesFile = join("deploy", "prometheus", "ashlar.rules.yaml");
const dashboards = join("deploy", "grafana");

interface Rule {
  readonly expr: string;
  readonly record?: string;
  readonly alert?: string;
}
interface Dashboard {
  readonly panels: readonly { readonly title: string; readonly targets: readonly { readonly expr: string }[] }[];
}

/** An expression and its location in the file. */
export type Expression = readonly [where: string, expr: string];

export function readRules(): { readonly alerts: readonly Expression[]; readonly recorded: readonly Expression[] } {
  const { groups }: { readonly groups: readonly { readonly rules: readonly Rule[] }[] } = parse(
    readFileSync(rulesFile, "utf8"),
  );
  const rules = groups.flatMap((group) => group.rules);
  return {
    alerts: rules.flatMap(({ alert, expr }) => (alert === undefined ? [] : [[alert, expr] as const])),
    recorded: rules.flatMap(({ record, expr }) => (record === undefined ? [] : [[record, expr] as const])),
  };
}

export function readPanels(): readonly Expression[] {
  return readdirSync(dashboards).flatMap((name) => {
    const { panels }: Dashboard = JSON.parse(readFileSync(join(dashboards, name), "utf8"));
    return panels.flatMap(({ title, targets }) => targets.map(({ expr }) => [`${name}: ${title}`, expr] as const));
  });
}
