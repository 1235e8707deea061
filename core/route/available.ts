/** How records of routed calls note the endpoints that existed: "v1", or "v1 zone=a,rack" if labels were read. */
import type { Label } from "../model.js";
import type { PlacedEndpoint } from "./choose-target.js";

/** Renders an endpoint with its labels under `keys`; a key without "=" says that the endpoint lacks that label. */
export function renderAvailable({ version, labels }: PlacedEndpoint, keys: readonly string[]): string {
  if (keys.length === 0) return version;
  const parts = keys.map((key) => {
    const label = labels.find((one) => one.key === key);
    return label === undefined ? key : `${key}=${label.value}`;
  });
  return `${version} ${parts.join(",")}`;
}

/** Parses what `renderAvailable` rendered. `keys`: the labels that were read. */
export function parseAvailable(text: string): PlacedEndpoint & { readonly keys: readonly string[] } {
  const space = text.indexOf(" ");
  if (space < 0) return { version: text, labels: [], keys: [] };
  const labels: Label[] = [];
  const keys: string[] = [];
  for (const part of text.slice(space + 1).split(",")) {
    const [key = "", value] = part.split("=", 2);
    keys.push(key);
    if (value !== undefined) labels.push({ key, value });
  }
  return { version: text.slice(0, space), labels, keys };
}
