/** Where a proxy listens, for people and scripts. */
import type { BoundListeners } from "./app-carrying.js";
import type { ProxyConfig } from "./config.js";
import { render } from "./render-address.js";

export type Listening = readonly (readonly [name: string, address: string])[];

/** Renders it for people and scripts: "inbound=HOST:PORT agent=unix:PATH outbound=unix:PATH". */
export function renderListening(listening: Listening): string {
  return listening.map(([name, address]) => `${name}=${address}`).join(" ");
}

export function listeningOf(config: ProxyConfig, { inbound, edges }: BoundListeners): Listening {
  const all: (readonly [string, string])[] = inbound === undefined ? [] : [["inbound", render(inbound)]];
  for (const [name, address] of edges) all.push([name, render(address)]);
  if (config.agent !== undefined) all.push(["agent", `unix:${config.agent}`]);
  if (config.outbound !== undefined) all.push(["outbound", render(config.outbound)]);
  return all;
}
