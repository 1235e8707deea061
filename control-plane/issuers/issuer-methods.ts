/** The admin API's methods about issuers of tokens. */
import type { AdminServiceService, IssuerInfo } from "../../proto/gen/ashlar/v1/admin.js";
import type { Implementation } from "../../runtime/grpc-handlers.js";
import { type OperatedDeps, operatedBy } from "../admin/operated.js";
import type { Issuers, IssuerView } from "./issuers.js";

export interface IssuerMethodsDeps extends OperatedDeps {
  readonly issuers: Pick<Issuers, "set" | "remove" | "list">;
}

type IssuerMethods = Pick<
  Implementation<typeof AdminServiceService>,
  "setTokenIssuer" | "listTokenIssuers" | "removeTokenIssuer"
>;

export function issuerMethods(deps: IssuerMethodsDeps): IssuerMethods {
  const { issuers } = deps;
  const operated = operatedBy(deps);
  const find = (name: string) => issuers.list().find(({ issuer }) => issuer.name === name);
  return {
    setTokenIssuer: operated(async (request, caller, signal) => {
      const { name, issuer, jwks, jwksUrl, jwksCa, allowPrivateAddress } = request;
      const draft = { name, issuer, jwks, jwksUrl, jwksCa, allowPrivateAddress };
      const { created, ignored } = await issuers.set(draft, caller, signal);
      const set = find(name);
      return { issuer: set && renderIssuer(set), created, ignored: [...ignored] };
    }),
    listTokenIssuers: operated(async () => ({ issuers: issuers.list().map(renderIssuer) })),
    removeTokenIssuer: operated(async ({ name }, caller) => {
      await issuers.remove(name, caller);
      return {};
    }),
  };
}

function renderIssuer({ issuer, keyIds, problem }: IssuerView): IssuerInfo {
  const { name, issuer: iss, jwksUrl, fetchedMs, allowPrivateAddress } = issuer;
  return { name, issuer: iss, jwksUrl, fetchedMs, allowPrivateAddress, keyIds: [...keyIds], problem };
}
