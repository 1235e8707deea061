/** What the pages can follow live: streaming methods of the admin API, and some unary ones that are polled. */

export interface Topic {
  readonly method: string;
  readonly request: object;
  /**
   * If set, the method is unary: it is called at this interval once for all followers, and an answer that differs from
   * the last is an event.
   */
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
