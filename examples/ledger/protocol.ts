/** The protocol of the ledger, and the TypeScript types of its messages. */
import { join } from "node:path";
import { type GrpcObject, loadPackageDefinition, type ServiceClientConstructor } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { root } from "../shop/demo-mesh.js";

const file = join(root, "examples/ledger/ledger.proto");
const { bank } = loadPackageDefinition(loadSync(file, { keepCase: true, defaults: true }));
export const Ledger = (bank as GrpcObject).Ledger as ServiceClientConstructor;

export interface TransferRequest {
  readonly from: string;
  readonly to: string;
  readonly cents: number;
}

export interface Receipt {
  readonly number: number;
  readonly paid_cents: number;
}

export interface RegisterRequest {
  readonly account: string;
  readonly name: string;
  readonly town: string;
}

export interface Registered {
  readonly account: string;
}

export interface Posting {
  readonly sequence: number;
  readonly cents: number;
  readonly other: string;
}

export interface Account {
  readonly name: string;
  readonly cents: number;
  readonly sequence: number;
  readonly version: string;
  readonly postings: readonly Posting[];
  readonly registered: boolean;
}
