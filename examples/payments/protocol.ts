/** Both versions of the protocol of payments. A message of v1 is a message of v2 that leaves the new fields out. */
import { join } from "node:path";
import { type GrpcObject, loadPackageDefinition, type ServiceClientConstructor } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { root } from "../shop/demo-mesh.js";

const files = ["v1", "v2"].map((version) => join(root, "examples/payments", `payments.${version}.proto`));
const loaded = loadPackageDefinition(loadSync(files, { keepCase: true, defaults: true })).shop as GrpcObject;

const paymentsOf = (version: string) => (loaded[version] as GrpcObject).Payments as ServiceClientConstructor;
export const PaymentsV1 = paymentsOf("v1");
export const PaymentsV2 = paymentsOf("v2");

export interface Payment {
  readonly cents: number;
  readonly served_by: string;
  readonly method: string;
}
