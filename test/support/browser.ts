/** A real browser for tests of the console: the system's Chromium, controlled by playwright-core. */
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { type Browser, chromium, type Page } from "playwright-core";

const names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/** Returns the path of a Chromium: what CHROMIUM names, or one on the PATH. undefined: there is none. */
export function findChromium(env: Readonly<Record<string, string | undefined>> = process.env): string | undefined {
  const paths = (env.PATH ?? "").split(delimiter).filter(Boolean);
  const found = names.flatMap((name) => paths.map((path) => join(path, name)));
  return [...(env.CHROMIUM === undefined ? [] : [env.CHROMIUM]), ...found].find((path) => existsSync(path));
}

export interface BrowserSettings {
  readonly width?: number;
  readonly height?: number;
  readonly colorScheme?: "light" | "dark";
}

/** A page, and the errors in it: exceptions and the browser's complaints, for example about the content policy. */
export interface TestPage {
  readonly page: Page;
  readonly complaints: readonly string[];
}

export class TestBrowser {
  readonly #browser: Browser;

  private constructor(browser: Browser) {
    this.#browser = browser;
  }

  static async start(): Promise<TestBrowser> {
    const executablePath = findChromium();
    if (executablePath === undefined)
      throw new Error("there is no Chromium on PATH: install it, or name it in CHROMIUM");
    // Containers give a process of root no sandbox of its own; the tests open pages of this repository alone.
    return new TestBrowser(
      await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-dev-shm-usage"] }),
    );
  }

  async open({ width = 1360, height = 900, colorScheme = "light" }: BrowserSettings = {}): Promise<TestPage> {
    const page = await this.#browser.newPage({ viewport: { width, height }, colorScheme, reducedMotion: "reduce" });
    const complaints: string[] = [];
    page.on("pageerror", (error) => complaints.push(String(error)));
    page.on("console", (message) => {
      // A browser says of every answer that is an error that it is one.
      if (["error", "warning"].includes(message.type()) && !message.text().startsWith("Failed to load resource"))
        complaints.push(message.text());
    });
    page.setDefaultTimeout(20_000);
    return { page, complaints };
  }

  close(): Promise<void> {
    return this.#browser.close();
  }
}
