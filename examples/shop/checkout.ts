/** Checkout: calls inventory and payments through its proxy, and passes on what they refuse. */
import { Server, type ServerUnaryCall, type ServerWritableStream, type sendUnaryData, status } from "@grpc/grpc-js";
import { callOne, passOn } from "./calls.js";
import { clientOf, runService } from "./run-service.js";
import { Checkout, Inventory, type Order, type Payment, Payments, type Reservation } from "./shop.js";

const centsEach = 1999;
const ordersMax = 10_000;

await runService("checkout", (mesh) => {
  const inventory = clientOf(mesh, Inventory, "inventory");
  const payments = clientOf(mesh, Payments, "payments");
  const orders = new Map<string, Order>();
  let count = 0;

  const place = async ({ item, quantity }: { item: string; quantity: number }): Promise<Order> => {
    count += 1;
    const order_id = `order-${count}`;
    const reserved = await callOne<Reservation>(inventory, Inventory, "Reserve", { item, quantity });
    const cents = quantity * centsEach;
    const { payment_id } = await callOne<Payment>(payments, Payments, "Charge", { order_id, cents });
    const order = { order_id, state: "paid", inventory_version: reserved.version, payment_id };
    if (orders.size < ordersMax) orders.set(order_id, order);
    return order;
  };
  const cancel = async ({ order_id }: { order_id: string }): Promise<Order> => {
    const order = orders.get(order_id);
    if (order === undefined) throw { code: status.NOT_FOUND, details: `no order ${order_id}` };
    await callOne<Payment>(payments, Payments, "Refund", { payment_id: order.payment_id });
    const cancelled = { ...order, state: "cancelled" };
    orders.set(order_id, cancelled);
    return cancelled;
  };
  const unary =
    <Request>(work: (request: Request) => Promise<Order>) =>
    (call: ServerUnaryCall<Request, Order>, answer: sendUnaryData<Order>) => {
      work(call.request).then(
        (order) => answer(null, order),
        (error: unknown) => answer(passOn(error)),
      );
    };

  const server = new Server();
  server.addService(Checkout.service, {
    PlaceOrder: unary(place),
    CancelOrder: unary(cancel),
    WatchOrder: (call: ServerWritableStream<{ order_id: string }, object>) => {
      const { order_id } = call.request;
      const order = orders.get(order_id);
      if (order === undefined) {
        call.emit("error", { code: status.NOT_FOUND, details: `no order ${order_id}` });
        return;
      }
      const past = order.state === "paid" ? ["placed", "reserved"] : ["placed", "reserved", "paid"];
      for (const state of [...past, order.state]) call.write({ order_id, state });
      call.end();
    },
  });
  return server;
});
