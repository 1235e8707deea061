/** Explains the lines and signs of the picture. */
import { Icon } from "../../parts/icon.js";

const lines = [
  ["busy", "calls go through"],
  ["failing", "calls fail"],
  ["refused", "calls are refused"],
  ["idle", "allowed, not called now"],
] as const;

export function Legend({ onClose }: { readonly onClose: () => void }) {
  return (
    <div class="legend">
      {lines.map(([state, words]) => (
        <span key={state}>
          <svg viewBox="0 0 28 8" aria-hidden="true">
            <g class={`edge ${state}`}>
              <path class="line" d="M1 4H27" stroke-width="2" />
            </g>
          </svg>
          {words}
        </span>
      ))}
      <button type="button" class="button plain small" aria-label="Hide the legend" onClick={onClose}>
        <Icon name="cross" />
      </button>
    </div>
  );
}
