/** The box or line of the picture that a user has chosen. */
export type Chosen = { readonly kind: "node" | "edge"; readonly id: string } | undefined;
