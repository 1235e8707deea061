const namesMax = 2000;

/**
 * Returns "package.Service/Method" for "/package.Service/Method": the same string object each time, so that look-ups by
 * it are cheap.
 */
export class MethodNames {
  readonly #names = new Map<string, string>();

  /** `path` must be a checked gRPC path. */
  of(path: string): string {
    const known = this.#names.get(path);
    if (known !== undefined) return known;
    if (this.#names.size >= namesMax) this.#names.clear(); // callers choose the paths, so the map is bounded
    const name = path.slice(1);
    this.#names.set(path, name);
    return name;
  }
}
