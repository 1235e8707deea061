/** What the pages can follow live: methods of the admin API that stream, and some that are asked again and again. */

export interface Topic {
  readonly method: string;
  readonly request: object;
  /** Set: the method is unary, is asked so often once for all who follow, and its answer is an event where it differs. */
  readonly everyMs?: number;
}

export const topics: Readonly<Record<string, Topic>> = {
  activations: { method: "WatchActivations", request: {} },
  proxies: { method: "ListProxies", request: {}, everyMs: 2000 },
  rollouts: { method: "ListRollouts", request: { limit: 20 }, everyMs: 1000 },
  services: { method: "ListServices", request: {}, everyMs: 2000 },
  traffic: { method: "WatchTraffic", request: {} },
  status: { method: "GetStatus", request: {}, everyMs: 2000 },
};

export function findTopic(name: string): Topic | undefined {
  return Object.hasOwn(topics, name) ? topics[name] : undefined;
}
