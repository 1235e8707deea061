/** Log lines for people. */

const levels: Readonly<Record<number, string>> = { 20: "debug", 30: "info", 40: "warn", 50: "error" };

/**
 * Renders a JSON log line as "10:22:33 info  control-plane: serving admin=127.0.0.1:7420". Stack traces are left out;
 * the JSON format has them. Values with spaces or control characters are quoted.
 */
export function renderLogLine(line: string): string {
  const { level, time, name, msg, stack: _stack, ...fields } = JSON.parse(line) as Record<string, unknown>;
  const when = new Date(Number(time)).toISOString().slice(11, 19);
  const rest = Object.entries(fields)
    .filter(([, value]) => value !== "")
    .map(([key, value]) => ` ${key}=${renderValue(value)}`)
    .join("");
  const word = (levels[Number(level)] ?? "error").padEnd(5);
  return `${when} ${word} ${renderPlain(name)}: ${renderPlain(msg)}${rest}\n`;
}

function renderValue(value: unknown): string {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return /^[^\s"\p{Cc}]+$/u.test(text) ? text : JSON.stringify(value);
}

function renderPlain(text: unknown): string {
  return String(text ?? "").replace(/\p{Cc}+/gu, " ");
}
