/** The colour theme: light, dark, or the system's. */
export const themes = ["system", "light", "dark"] as const;
export type Theme = (typeof themes)[number];

/** The browser's storage for the page: `localStorage`. */
interface Store {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
}

const key = "ashlar-theme";

export const parseTheme = (stored: string | null): Theme => themes.find((theme) => theme === stored) ?? "system";

export const nextTheme = (theme: Theme): Theme => themes[(themes.indexOf(theme) + 1) % themes.length] ?? "system";

/** Returns the theme that the user chose before. Browsers may refuse to store anything. */
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
