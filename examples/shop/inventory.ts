/** Inventory: all four kinds of methods. Two versions run side by side; each answer says which one it is from. */
import {
  Server,
  type ServerDuplexStream,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
} from "@grpc/grpc-js";
import { runService } from "./run-service.js";
import { Inventory, type Reservation, type StockItem } from "./shop.js";

const stock = new Map([
  ["anvil", 100],
  ["chisel", 250],
  ["mallet", 40],
]);
const itemsMax = 1000;

function add({ item, quantity }: StockItem): number {
  const now = (stock.get(item) ?? 0) + quantity;
  if (stock.has(item) || stock.size < itemsMax) stock.set(item, now);
  return now;
}

await runService("inventory", ({ description: { version } }) => {
  const server = new Server();
  server.addService(Inventory.service, {
    Reserve: (call: ServerUnaryCall<StockItem, Reservation>, answer: sendUnaryData<Reservation>) => {
      const { item, quantity } = call.request;
      answer(null, { item, quantity, version });
    },
    ListStock: (call: ServerWritableStream<object, StockItem>) => {
      for (const [item, quantity] of stock) call.write({ item, quantity, version });
      call.end();
    },
    Restock: (call: ServerReadableStream<StockItem, object>, answer: sendUnaryData<object>) => {
      let lines = 0;
      let quantity = 0;
      call.on("data", (delivered: StockItem) => {
        lines += 1;
        quantity += delivered.quantity;
        add(delivered);
      });
      call.on("end", () => answer(null, { lines, quantity, version }));
    },
    Sync: (call: ServerDuplexStream<StockItem, StockItem>) => {
      call.on("data", (line: StockItem) => call.write({ item: line.item, quantity: add(line), version }));
      call.on("end", () => call.end());
    },
  });
  return server;
});
