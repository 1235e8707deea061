const namesMax = 2000;

/** "package.Service/Method" of "/package.Service/Method": the same string each time, so that look-ups by it are cheap. */
export class MethodNames {
  readonly #names = new Map<string, string>();

  /** `path` has been checked. */
  of(path: string): string {
    const known = this.#names.get(path);
    if (known !== undefined) return known;
    if (this.#names.size >= namesMax) this.#names.clear(); // paths come from callers
    const name = path.slice(1);
    this.#names.set(path, name);
    return name;
  }
}
