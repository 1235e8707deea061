/** Starts the console in the page. */
import { type ComponentType, render } from "preact";
import { useCallback, useEffect, useState } from "preact/hooks";
import { readSession } from "./api/client.js";
import type { Session } from "./api/methods.js";
import { Empty, Loading, Notice } from "./parts/states.js";
import { applyTheme, Shell } from "./shell.js";
import { problemOf } from "./state/loaded.js";
import { type Page, type Place, parsePlace } from "./state/place.js";
import { readTheme } from "./state/theme.js";
import { MeshContext, useFollowedMesh } from "./state/use-mesh.js";
import { usePlace } from "./state/use-place.js";

type PageView = ComponentType<{ readonly place: Place }>;

/** The pages. Each is a file of its own, which is fetched when the page is first opened. */
const views: Readonly<Record<Page, () => Promise<PageView>>> = {
  mesh: async () => (await import("./pages/mesh/mesh-page.js")).MeshPage,
  revisions: async () => (await import("./pages/revisions/revisions-page.js")).RevisionsPage,
  proxies: async () => (await import("./pages/proxies/proxies-page.js")).ProxiesPage,
  access: async () => (await import("./pages/access/access-page.js")).AccessPage,
  audit: async () => (await import("./pages/audit/audit-page.js")).AuditPage,
  journal: async () => (await import("./pages/journal/journal-page.js")).JournalPage,
};

type Start =
  | { readonly kind: "asking" }
  | { readonly kind: "signed-in"; readonly session: Session }
  | { readonly kind: "signed-out" }
  | { readonly kind: "failed"; readonly message: string };

function Console() {
  const [start, setStart] = useState<Start>({ kind: "asking" });
  const ask = useCallback(() => {
    readSession().then(
      (session) => setStart({ kind: "signed-in", session }),
      (error) => {
        const { code, message } = problemOf(error);
        setStart(code === "signed_out" ? { kind: "signed-out" } : { kind: "failed", message });
      },
    );
  }, []);
  useEffect(ask, [ask]);
  switch (start.kind) {
    case "asking":
      return <Loading what="the console" />;
    case "signed-out":
      return (
        <main class="page">
          <Empty icon="leave" title="You are not signed in">
            Run <code>ashlar console</code> on your machine: it prints a link that works once and signs you in with your
            own rights.
          </Empty>
        </main>
      );
    case "failed":
      return (
        <main class="page">
          <Notice
            tone="bad"
            title="The console could not start"
            action={
              <button type="button" class="button small" onClick={ask}>
                Try again
              </button>
            }
          >
            <p>{start.message}</p>
          </Notice>
        </main>
      );
    case "signed-in":
      return <SignedIn session={start.session} onSignedOut={() => setStart({ kind: "signed-out" })} />;
  }
}

function SignedIn({ session, onSignedOut }: { readonly session: Session; readonly onSignedOut: () => void }) {
  const mesh = useFollowedMesh(session, onSignedOut);
  const place = usePlace();
  const [fetched, setFetched] = useState<Partial<Record<Page, PageView>>>({});
  const [problem, setProblem] = useState<string>();
  const View = fetched[place.page];
  useEffect(() => {
    if (View !== undefined) return;
    views[place.page]().then(
      (view) => {
        setProblem(undefined);
        setFetched((before) => ({ ...before, [place.page]: view }));
      },
      () =>
        setProblem("This page could not be fetched. The control plane may have been updated: load the console again."),
    );
  }, [place.page, View]);
  return (
    <MeshContext.Provider value={mesh}>
      <Shell page={place.page} onSignedOut={onSignedOut}>
        {View !== undefined ? (
          <View place={place} />
        ) : problem ? (
          <Notice tone="bad">{problem}</Notice>
        ) : (
          <Loading what="the page" />
        )}
      </Shell>
    </MeshContext.Provider>
  );
}

applyTheme(readTheme(localStorage));
// The first page is fetched while the control plane says who is signed in.
views[parsePlace(location.hash).page]().catch(() => undefined);
const root = document.getElementById("console");
if (root !== null) render(<Console />, root);
