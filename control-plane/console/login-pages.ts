/** The few pages that are shown before a login. They work without scripts. */
import type { LinkState, SessionOperator } from "./login-links.js";

export const loginStylePath = "/login.css";

export const loginStyle = `:root { color-scheme: light dark; --ink: #16181d; --soft: #5a6070; --ground: #f6f7f9; --card: #fff; --line: #d9dde5; --strong: #2451c7; --on-strong: #fff; }
@media (prefers-color-scheme: dark) { :root { --ink: #eceef3; --soft: #a3a9b8; --ground: #111319; --card: #1a1d25; --line: #303643; --strong: #86a8ff; --on-strong: #0d1220; } }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 24px; background: var(--ground); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { width: 100%; max-width: 34rem; padding: 32px; background: var(--card); border: 1px solid var(--line); border-radius: 12px; }
h1 { margin: 0 0 12px; font-size: 1.35rem; line-height: 1.3; }
p { margin: 0 0 16px; overflow-wrap: anywhere; }
code { font: 0.9em ui-monospace, monospace; padding: 2px 6px; border: 1px solid var(--line); border-radius: 6px; }
.soft { color: var(--soft); font-size: 0.9rem; }
button { font: inherit; font-weight: 600; padding: 10px 20px; border: 0; border-radius: 8px; background: var(--strong); color: var(--on-strong); cursor: pointer; }
button:focus-visible { outline: 3px solid var(--strong); outline-offset: 3px; }
`;

/** The mesh and the console that the login page names. */
export interface LoginPlace {
  readonly mesh: string;
  /** True if browsers may present an operator's certificate. */
  readonly isTls: boolean;
}

const escapes: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};
const escaped = (text: string): string => text.replace(/[&<>"']/g, (one) => escapes[one] ?? "");

function page(title: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>${escaped(title)} - Ashlar</title>
<link rel="stylesheet" href="${loginStylePath}">
</head>
<body><main>
<h1>${escaped(title)}</h1>
${body}
</main></body>
</html>
`;
}

/**
 * Renders the page of a valid link, where one click logs in. A program that fetches links for a preview does not click.
 */
export function renderOpenLink({ mesh }: LoginPlace, operator: SessionOperator, token: string): string {
  const may = operator.readOnly ? "It may look and change nothing." : "It may do what this operator may do.";
  return page(
    `Open the console of ${mesh}`,
    `<p>This link logs this browser in as <code>${escaped(operator.id)}</code>. ${may}</p>
<form method="post" action="/login">
<input type="hidden" name="token" value="${escaped(token)}">
<button type="submit" autofocus>Open the console</button>
</form>`,
  );
}

/** Renders the page without a link, or with one that is no longer valid. */
export function renderLogin(
  { mesh, isTls }: LoginPlace,
  state: Exclude<LinkState, { kind: "open" }> | undefined,
): string {
  const how = `<p>Run <code>ashlar console</code> where you run Ashlar's other commands, and open the link that it prints.</p>`;
  const byCertificate = isTls
    ? `<p class="soft">Or use an operator's certificate that this browser has.</p>
<form method="post" action="/login/certificate"><button type="submit">Use a certificate</button></form>`
    : "";
  if (state === undefined) return page(`Log in to the console of ${mesh}`, how + byCertificate);
  if (state.kind === "used") {
    const when = new Date(state.timeMs).toISOString();
    return page(
      "This link was used before",
      `<p>A link works once. This one was used at ${when} from ${escaped(state.source)}.</p>
<p>If that was not you, run <code>ashlar console --end-sessions</code>: it ends all sessions of yours and prints a new link. What was done meanwhile is in <code>ashlar audit</code>.</p>
${how}`,
    );
  }
  return page(
    "This link does not work",
    `<p>A link works for two minutes, and only with the control plane that made it, until that one is started again.</p>${how}`,
  );
}

/** Renders the page for a refused login by certificate. */
export function renderNoCertificate(why: string): string {
  return page(
    "No certificate of an operator",
    `<p>${escaped(why)}</p>
<p>Run <code>ashlar console</code> where you run Ashlar's other commands, and open the link that it prints.</p>`,
  );
}
