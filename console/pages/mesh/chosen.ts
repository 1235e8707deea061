/** What of the picture somebody chose. */
export type Chosen = { readonly kind: "node" | "edge"; readonly id: string } | undefined;
