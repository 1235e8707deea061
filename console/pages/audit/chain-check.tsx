/**
 * Shows whether the audit chain is intact: by the control plane's word, and by following the whole log in this browser.
 */
import { useEffect, useRef, useState } from "preact/hooks";
import { call } from "../../api/client.js";
import type { AnswerOf } from "../../api/methods.js";
import { counted, renderCount } from "../../format/amounts.js";
import { Command } from "../../parts/controls.js";
import { Icon } from "../../parts/icon.js";
import { Notice } from "../../parts/states.js";
import { Badge } from "../../parts/words.js";
import { problemOf } from "../../state/loaded.js";
import { addLink, type Chain, emptyChain, fromBase64, readLink, toHex } from "./chain.js";

type Check =
  | { readonly state: "none" }
  | { readonly state: "reading" | "done"; readonly chain: Chain }
  | { readonly state: "failed"; readonly message: string };

export function ChainCheck({ listed }: { readonly listed: AnswerOf<"ListAudit"> | undefined }) {
  const [check, setCheck] = useState<Check>({ state: "none" });
  const ended = useRef(new AbortController());
  useEffect(() => () => ended.current.abort(), []);
  if (listed === undefined) return null;
  const start = async (): Promise<void> => {
    try {
      const chain = await followChain((so) => setCheck({ state: "reading", chain: so }), ended.current.signal);
      setCheck({ state: "done", chain });
    } catch (error) {
      setCheck({ state: "failed", message: problemOf(error).message });
    }
  };
  const holds = listed.chainHolds && (check.state !== "done" || check.chain.problems.length === 0);
  return (
    <Notice
      tone={holds ? "ok" : "bad"}
      action={
        <button type="button" class="button small" disabled={check.state === "reading"} onClick={() => void start()}>
          <Icon name="shield" />
          Verify all in this browser
        </button>
      }
    >
      <div class="stack">
        <div class="row">
          <Badge tone={listed.chainHolds ? "ok" : "bad"}>{listed.chainHolds ? "chain holds" : "chain broken"}</Badge>
          <span>
            {listed.chainHolds
              ? `The control plane followed the links of the ${counted(listed.entries.length, "entry", "entries")} below.`
              : "The links of the entries below do not hold: something was changed, moved or removed."}
          </span>
        </div>
        <Followed check={check} />
      </div>
    </Notice>
  );
}

function Followed({ check }: { readonly check: Check }) {
  if (check.state === "none") return null;
  if (check.state === "failed") return <p class="bad-text wrap">{check.message}</p>;
  const { entries, last, problems } = check.chain;
  if (check.state === "reading") return <p aria-live="polite">Followed {renderCount(entries)} entries…</p>;
  return (
    <div class="stack" aria-live="polite">
      <p>
        This browser hashed {counted(entries, "entry", "entries")} up to number {renderCount(last)}:{" "}
        {problems.length === 0 ? "each names the one before it." : counted(problems.length, "problem")}
      </p>
      {problems.length > 0 && (
        <ul class="bad-text">
          {problems.map((problem) => (
            <li key={problem}>{problem}</li>
          ))}
        </ul>
      )}
      <p class="quiet">Signatures over the chain are verified on your machine, by keys that the mesh's root names:</p>
      <Command line="ashlar audit verify" />
    </div>
  );
}

/** Reads the whole log page by page, hashes every entry and follows the links. */
async function followChain(say: (chain: Chain) => void, signal: AbortSignal): Promise<Chain> {
  // Browsers hash on pages that came over TLS or from this machine only.
  if (crypto.subtle === undefined)
    throw new Error("This browser hashes nothing on a page without TLS. Run `ashlar audit verify`.");
  let chain = emptyChain;
  let position = 0;
  for (;;) {
    const page = await call("ExportAudit", { position }, signal);
    for (const text of page.entries) {
      const bytes = fromBase64(text);
      const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
      chain = addLink(chain, readLink(bytes), toHex(digest));
    }
    say(chain);
    if (page.complete || page.position <= position) return chain;
    position = page.position;
  }
}
