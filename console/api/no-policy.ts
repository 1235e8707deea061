/** No policy at all, as one side of DiffRevisions: what a revision adds to it is everything that it says. */
export const noPolicyAtAll = { files: { files: [{ name: "nothing.yaml", content: "" }] } } as const;
