/** Buttons, fields and tabs. */
import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { Icon } from "./icon.js";

interface SearchProps {
  readonly label: string;
  readonly value: string;
  readonly onChange: (value: string) => void;
  readonly placeholder?: string;
}

/** A search field. "/" puts the cursor into it from anywhere on the page. */
export function Search({ label, value, onChange, placeholder = "Search (press /)" }: SearchProps) {
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => {
    const pressed = (event: KeyboardEvent): void => {
      const typing = event.target instanceof HTMLElement && /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName);
      if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      input.current?.focus();
    };
    document.addEventListener("keydown", pressed);
    return () => document.removeEventListener("keydown", pressed);
  }, []);
  return (
    <label class="field search">
      <span class="hidden">{label}</span>
      <input
        ref={input}
        class="input"
        type="search"
        value={value}
        placeholder={placeholder}
        maxLength={200}
        spellcheck={false}
        autocomplete="off"
        onInput={(event) => onChange(event.currentTarget.value)}
      />
    </label>
  );
}

/** The most suggestions of one field. Browsers become slow with more. */
const suggestedMax = 500;

interface FieldProps {
  readonly label: string;
  readonly value: string;
  readonly onChange: (value: string) => void;
  readonly hint?: string;
  readonly list?: readonly string[];
  readonly placeholder?: string;
  readonly required?: boolean;
  readonly lines?: number;
}

/** A labelled field; `list` suggests values. */
export function Field({ label, value, onChange, hint, list = [], placeholder, required, lines }: FieldProps) {
  const id = useId();
  const shared = { id, class: "input", value, placeholder, required, maxLength: 8192, spellcheck: false } as const;
  const suggestions = list.length > 0 ? `${id}-list` : undefined;
  return (
    <div class="field">
      <label htmlFor={id}>{label}</label>
      {lines === undefined ? (
        <input
          {...shared}
          list={suggestions}
          autocomplete="off"
          onInput={(event) => onChange(event.currentTarget.value)}
        />
      ) : (
        <textarea {...shared} rows={lines} onInput={(event) => onChange(event.currentTarget.value)} />
      )}
      {suggestions && (
        <datalist id={suggestions}>
          {list.slice(0, suggestedMax).map((entry) => (
            <option key={entry} value={entry} />
          ))}
        </datalist>
      )}
      {hint && <small>{hint}</small>}
    </div>
  );
}

interface SelectProps {
  readonly label: string;
  readonly value: string;
  readonly onChange: (value: string) => void;
  readonly options: readonly (readonly [value: string, label: string])[];
}

export function Select({ label, value, onChange, options }: SelectProps) {
  return (
    <label class="field">
      <span>{label}</span>
      <select class="input" value={value} onChange={(event) => onChange(event.currentTarget.value)}>
        {options.map(([option, name]) => (
          <option key={option} value={option}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}

interface CheckProps {
  readonly label: ComponentChildren;
  readonly checked: boolean;
  readonly onChange: (checked: boolean) => void;
}

export function Check({ label, checked, onChange }: CheckProps) {
  return (
    <label class="check">
      <input type="checkbox" checked={checked} onChange={(event) => onChange(event.currentTarget.checked)} />
      <span>{label}</span>
    </label>
  );
}

interface TabsProps<T extends string> {
  readonly label: string;
  readonly tabs: readonly (readonly [tab: T, label: string])[];
  readonly chosen: T;
  readonly onChoose: (tab: T) => void;
}

/** Tabs; the arrow keys go from one to the next. */
export function Tabs<T extends string>({ label, tabs, chosen, onChoose }: TabsProps<T>) {
  const move = (event: KeyboardEvent): void => {
    const step = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    const at = tabs.findIndex(([tab]) => tab === chosen);
    const next = tabs[(at + step + tabs.length) % tabs.length];
    if (step === 0 || next === undefined) return;
    event.preventDefault();
    onChoose(next[0]);
    const row = event.currentTarget as HTMLElement;
    requestAnimationFrame(() => row.querySelector<HTMLElement>('[aria-selected="true"]')?.focus());
  };
  return (
    <div class="tabs" role="tablist" aria-label={label} onKeyDown={move}>
      {tabs.map(([tab, name]) => (
        <button
          key={tab}
          type="button"
          role="tab"
          aria-selected={tab === chosen}
          tabIndex={tab === chosen ? 0 : -1}
          onClick={() => onChoose(tab)}
        >
          {name}
        </button>
      ))}
    </div>
  );
}

/** Shows a command line with a button that copies it. */
export function Command({ line }: { readonly line: string }) {
  const [copied, setCopied] = useState(false);
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(line);
      setCopied(true);
      setTimeout(() => setCopied(false), 2000);
    } catch {
      setCopied(false); // the browser does not allow copying; the user can still select the line
    }
  };
  return (
    <div class="command">
      <code>{line}</code>
      <button type="button" class="button plain small" onClick={copy} aria-label={copied ? "Copied" : `Copy: ${line}`}>
        <Icon name={copied ? "check" : "copy"} />
      </button>
    </div>
  );
}
