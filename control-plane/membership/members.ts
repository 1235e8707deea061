/** Keeps the addresses of the join listeners of all known control planes. */
import { join } from "node:path";
import { makePrivateFolder, readJsonIfThere, writeDurably } from "../../runtime/durable-file.js";

export interface Members {
  /** Returns the addresses, "HOST:PORT" each, the own one first; at most 16. */
  addresses(): readonly string[];
  /** Sets the own join listener once it listens. */
  setOwn(address: string): void;
  /** Sets the join listener of the control plane `name`. */
  set(name: string, address: string): void;
  /** Replaces the addresses of the others with the list that another control plane sent. */
  replace(addresses: readonly string[]): void;
}

const membersMax = 15;

/** Opens DIR/identity/members.json. `onChange` hears of each change of the addresses. */
export function openMembers(dir: string, onChange: (addresses: readonly string[]) => void): Members {
  const path = join(dir, "identity", "members.json");
  makePrivateFolder(join(dir, "identity"));
  const stored = Object.entries(readJsonIfThere(path) ?? {});
  let others = new Map(stored.flatMap(([name, at]) => (typeof at === "string" ? [[name, at] as const] : [])));
  let own: string | undefined;
  const addresses = (): readonly string[] => [...new Set([...(own === undefined ? [] : [own]), ...others.values()])];
  const change = (next: Map<string, string>): void => {
    const before = JSON.stringify([...others]);
    others = new Map([...next].slice(-membersMax));
    if (JSON.stringify([...others]) === before) return;
    writeDurably(path, JSON.stringify(Object.fromEntries(others)));
    onChange(addresses());
  };
  return {
    addresses,
    setOwn: (address) => {
      own = address;
    },
    set: (name, address) => change(new Map([...others].filter(([known]) => known !== name)).set(name, address)),
    replace: (next) => change(new Map(next.filter((at) => at !== own).map((at) => [at, at]))),
  };
}
