import { AshlarError } from "../core/errors.js";

/** Parses SERVICE/METHOD, where the service ends at the first slash. Fails with `invalid_argument`. */
export function parseServiceMethod(target: string): { readonly service: string; readonly method: string } {
  const slash = target.indexOf("/");
  const [service, method] = [target.slice(0, Math.max(0, slash)), target.slice(slash + 1)];
  if (service === "" || method === "") {
    const example = "for example payments/shop.Payments/Charge";
    throw new AshlarError("invalid_argument", `expected SERVICE/METHOD, ${example}, got ${JSON.stringify(target)}`);
  }
  return { service, method };
}
