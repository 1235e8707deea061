/** An empty policy as one side of DiffRevisions. A revision compared with it adds all that the revision says. */
export const noPolicyAtAll = { files: { files: [{ name: "nothing.yaml", content: "" }] } } as const;
