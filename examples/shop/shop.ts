/** The shop's protocol, loaded from its .proto file as an application would load it. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { type GrpcObject, loadPackageDefinition, type ServiceClientConstructor } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { descriptorSetOf } from "./descriptor-set.js";

// compiled code runs from dist/, while the .proto file stays with the sources
const folders = [import.meta.dirname, join(import.meta.dirname, "../../../examples/shop")];
export const shopFolder = folders.find((folder) => existsSync(join(folder, "shop.proto"))) ?? import.meta.dirname;

const definition = loadSync(join(shopFolder, "shop.proto"), { keepCase: true, defaults: true });
const shop = loadPackageDefinition(definition).shop as GrpcObject;

export const Checkout = shop.Checkout as ServiceClientConstructor;
export const Inventory = shop.Inventory as ServiceClientConstructor;
export const Payments = shop.Payments as ServiceClientConstructor;
/** A service outside the mesh. */
export const Couriers = shop.Couriers as ServiceClientConstructor;

/** Returns a FileDescriptorSet of the protocol, as `buf build -o` and `protoc --descriptor_set_out` write it. */
export function shopDescriptors(): Buffer {
  return descriptorSetOf(definition, "shop.Order");
}

export interface Order {
  readonly order_id: string;
  readonly state: string;
  readonly inventory_version: string;
  readonly payment_id: string;
}

export interface Reservation {
  readonly item: string;
  readonly quantity: number;
  readonly version: string;
}

export interface StockItem {
  readonly item: string;
  readonly quantity: number;
  readonly version?: string;
}

export interface Payment {
  readonly payment_id: string;
  readonly cents: number;
  readonly caller: string;
}

export interface Booking {
  readonly parcel_id: string;
  readonly caller: string;
}
