/** Light, dark, or as the system has it. */
export const themes = ["system", "light", "dark"] as const;
export type Theme = (typeof themes)[number];

/** What a browser keeps for the page: `localStorage`. */
interface Store {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
}

const key = "ashlar-theme";

export const parseTheme = (stored: string | null): Theme => themes.find((theme) => theme === stored) ?? "system";

export const nextTheme = (theme: Theme): Theme => themes[(themes.indexOf(theme) + 1) % themes.length] ?? "system";

/** Reads what was chosen before; browsers may refuse to keep anything. */
export function readTheme(store: Pick<Store, "getItem">): Theme {
  try {
    return parseTheme(store.getItem(key));
  } catch {
    return "system";
  }
}

export function keepTheme(store: Pick<Store, "setItem">, theme: Theme): void {
  try {
    store.setItem(key, theme);
  } catch {
    // A browser that keeps nothing shows it until the page is left.
  }
}
