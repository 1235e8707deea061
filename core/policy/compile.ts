export interface CompiledUnit {
  readonly name: string;
}
