import type { PrepareOrders } from "../../control-plane/activate/prepare-orders.js";

/** Orders nothing: for tests whose proxies prepare every revision unasked. */
export const noOrders: PrepareOrders = { ask: async () => undefined };
