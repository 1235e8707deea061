/** The frame of every page: navigation, the state of the mesh in one line, and who is signed in. */
import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { signOut } from "./api/client.js";
import { counted, renderCount } from "./format/amounts.js";
import { shortIdentity } from "./format/names.js";
import { Brand, Icon } from "./parts/icon.js";
import { Badge, Dot, Revision } from "./parts/words.js";
import { type Page, pages, renderPlace } from "./state/place.js";
import { keepTheme, nextTheme, readTheme, type Theme } from "./state/theme.js";
import { useMesh } from "./state/use-mesh.js";

const names: Readonly<Record<Page, string>> = {
  mesh: "Mesh",
  revisions: "Revisions",
  proxies: "Proxies",
  access: "Access",
  audit: "Audit",
  journal: "Journal",
};

interface ShellProps {
  readonly page: Page;
  readonly onSignedOut: () => void;
  readonly children: ComponentChildren;
}

export function Shell({ page, onSignedOut, children }: ShellProps) {
  const { connected, status } = useMesh();
  useEffect(() => {
    document.title = `${names[page]} · ${status.value?.mesh ?? "Ashlar"}`;
  }, [page, status.value?.mesh]);
  return (
    <div class="shell">
      <button type="button" class="button skip" onClick={() => document.getElementById("page")?.focus()}>
        Skip to the page
      </button>
      <Sidebar page={page} onSignedOut={onSignedOut} />
      <div class="stage">
        <Headline />
        {!connected && (
          <div class="banner" role="alert">
            <Icon name="plug" />
            No connection to the control plane: what you see is what was last known. Trying again.
          </div>
        )}
        <main class="page" id="page" tabIndex={-1}>
          {children}
        </main>
      </div>
    </div>
  );
}

function Sidebar({ page, onSignedOut }: { readonly page: Page; readonly onSignedOut: () => void }) {
  const { session, status } = useMesh();
  const behind = status.value?.behind ?? 0;
  return (
    <header class="sidebar">
      <a class="brand" href="#/">
        <Brand />
        <div>
          <strong>Ashlar</strong>
          <span>{status.value?.mesh ?? session.mesh}</span>
        </div>
      </a>
      <nav class="places" aria-label="Pages">
        {pages.map((name) => (
          <a key={name} href={renderPlace({ page: name })} aria-current={name === page ? "page" : undefined}>
            <Icon name={name} />
            {names[name]}
            {name === "proxies" && behind > 0 && (
              <span class="count">
                <Badge tone="warn">
                  {behind}
                  <span class="hidden"> behind</span>
                </Badge>
              </span>
            )}
          </a>
        ))}
      </nav>
      <div class="sidebar-foot">
        <ThemeSwitch />
        <div class="operator">
          <div>
            <strong title={session.operator}>{shortIdentity(session.operator)}</strong>
          </div>
          <button
            type="button"
            class="button plain small"
            aria-label="Sign out"
            title="Sign out"
            onClick={() => void signOut().finally(onSignedOut)}
          >
            <Icon name="leave" />
          </button>
        </div>
      </div>
    </header>
  );
}

const themeNames: Readonly<Record<Theme, string>> = { system: "As the system", light: "Light", dark: "Dark" };

export function applyTheme(theme: Theme): void {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

function ThemeSwitch() {
  const [theme, setTheme] = useState(() => readTheme(localStorage));
  const change = (): void => {
    const next = nextTheme(theme);
    keepTheme(localStorage, next);
    applyTheme(next);
    setTheme(next);
  };
  return (
    <button
      type="button"
      class="button plain small"
      onClick={change}
      aria-label={`Colours: ${themeNames[theme]}. Change`}
    >
      <Icon name={theme === "light" ? "sun" : theme === "dark" ? "moon" : "system"} />
      {themeNames[theme]}
    </button>
  );
}

/** Shows the state of the mesh in one line. */
function Headline() {
  const { status, connected } = useMesh();
  const mesh = status.value;
  if (mesh === undefined) return <div class="headline" aria-busy="true" />;
  const { rollout } = mesh;
  return (
    <div class="headline">
      <span>
        Epoch <b class="number">{renderCount(mesh.epoch)}</b>
      </span>
      <span>
        Revision <Revision number={mesh.revision} />
        {mesh.headRevision > mesh.revision && <Badge>newest is {mesh.headRevision}</Badge>}
      </span>
      <span>
        <b class="number">
          {renderCount(mesh.active)}/{renderCount(mesh.total)}
        </b>
        proxies evaluate it
      </span>
      {rollout !== undefined && (
        <a href={`#/revisions/${rollout.candidate}?view=rollout`}>
          <Badge tone="note">
            rollout {rollout.number}: stage {rollout.stage} of {rollout.stages.length}
            {rollout.state === "paused" && ", paused"}
          </Badge>
        </a>
      )}
      <span class="end">
        {mesh.problems.length > 0 && (
          <a href="#/proxies">
            <Badge tone="bad">{counted(mesh.problems.length, "problem")}</Badge>
          </a>
        )}
        <Dot tone={connected ? (mesh.healthy ? "ok" : "warn") : "bad"} live={connected} />
        {connected ? (mesh.healthy ? "Healthy, live" : "Live") : "Disconnected"}
      </span>
    </div>
  );
}
