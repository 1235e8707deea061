import type { PrepareOrders } from "../../control-plane/activate/prepare-orders.js";

/** For tests whose proxies prepare everything unasked. */
export const noOrders: PrepareOrders = { ask: async () => undefined };
