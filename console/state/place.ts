/** A user's place in the console: a page, an item on it, and filters. It is stored behind the # of the address. */

export const pages = ["mesh", "revisions", "proxies", "access", "audit", "journal"] as const;
export type Page = (typeof pages)[number];

export interface Place {
  readonly page: Page;
  /** The item that is shown on the page, for example a revision's number. Empty: none. */
  readonly item: string;
  readonly filters: Readonly<Record<string, string>>;
}

/** Reads the part of an address behind "#". What names no page is the first page. */
export function parsePlace(hash: string): Place {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const [page = "", ...rest] = path.split("/");
  const filters = Object.fromEntries([...new URLSearchParams(query)].slice(0, 32));
  const known = pages.find((name) => name === page);
  return known === undefined
    ? { page: pages[0], item: "", filters: {} }
    : { page: known, item: decode(rest.join("/")), filters };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Writes a place as an address: "#/revisions/7?against=5". Empty filters are left out. */
export function renderPlace({ page, item = "", filters = {} }: Partial<Place> & Pick<Place, "page">): string {
  const set = Object.entries(filters).filter(([, value]) => value !== "");
  const query = new URLSearchParams(set).toString();
  return `#/${page}${item === "" ? "" : `/${encodeURIComponent(item)}`}${query === "" ? "" : `?${query}`}`;
}
