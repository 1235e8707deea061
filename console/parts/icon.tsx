/** Icons: strokes in a box of 24 by 24, in the colour of the text. */
const paths = {
  mesh: "M5 5.5a2 2 0 1 0 0 .1M19 5.5a2 2 0 1 0 0 .1M12 18.5a2 2 0 1 0 0 .1M7 6h10M6 7.6l5 9M18 7.6l-5 9",
  revisions: "M4 5h9v4H4zM15 5h5v4h-5zM4 10.5h4v4H4zM10 10.5h10v4H10zM4 16h9v4H4zM15 16h5v4h-5z",
  proxies: "M4 5h16v5H4zM4 14h16v5H4zM7.5 7.5h.01M7.5 16.5h.01M11 7.5h6M11 16.5h6",
  access: "M4 4h16v16H4zM4 9.3h16M4 14.7h16M9.3 4v16M14.7 4v16",
  audit: "M6 3h9l4 4v14H6zM9 12l2.2 2.2L15.5 10M14.5 3v5H19",
  journal: "M5 4h12a2 2 0 0 1 2 2v14H7a2 2 0 0 1-2-2zM5 18a2 2 0 0 1 2-2h12M9 8h6M9 11.5h4",
  chevron: "M9 6l6 6-6 6",
  copy: "M9 9h10v11H9zM6 15H5V4h10v1.5",
  check: "M5 12.5l4.5 4.5L19 7.5",
  cross: "M6 6l12 12M18 6L6 18",
  sun: "M12 8a4 4 0 1 0 .1 0M12 2.5v2M12 19.5v2M2.5 12h2M19.5 12h2M5.3 5.3l1.4 1.4M17.3 17.3l1.4 1.4M5.3 18.7l1.4-1.4M17.3 6.7l1.4-1.4",
  moon: "M19.5 14.5A8 8 0 1 1 9.5 4.5a6.5 6.5 0 0 0 10 10z",
  system: "M4 5h16v11H4zM9 20h6M12 16v4",
  leave: "M14 4h5v16h-5M4 12h10M10.5 8.5L14 12l-3.5 3.5",
  alert: "M12 4l9 16H3zM12 10v4.5M12 17.2v.1",
  plug: "M8 3v5M16 3v5M6 8h12v3a6 6 0 0 1-12 0zM12 17v4",
  search: "M10.5 5a5.5 5.5 0 1 0 .1 0M15 15l5 5",
  plus: "M12 5v14M5 12h14",
  minus: "M5 12h14",
  fit: "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5",
  up: "M12 19V6M6.5 11.5L12 6l5.5 5.5",
  back: "M4 12h11a5 5 0 0 1 0 10h-3M8.5 7.5L4 12l4.5 4.5",
  stairs: "M4 20h4v-4h4v-4h4V8h4",
  pause: "M8 5v14M16 5v14",
  play: "M7 5l12 7-12 7z",
  shield: "M12 3l8 3v6c0 4.5-3.3 7.8-8 9-4.7-1.2-8-4.5-8-9V6z",
  empty: "M4 9l3-5h10l3 5v10H4zM4 9h5l1.5 3h3L15 9h5",
} as const;

export type IconName = keyof typeof paths;

/** Draws an icon. It is decoration: the text beside it, or its button's label, says what it means. */
export function Icon({ name }: { readonly name: IconName }) {
  return (
    <svg
      width="18"
      height="18"
      viewBox="0 0 24 24"
      fill="none"
      stroke="currentColor"
      stroke-width="1.7"
      stroke-linecap="round"
      stroke-linejoin="round"
      aria-hidden="true"
      focusable="false"
    >
      <path d={paths[name]} />
    </svg>
  );
}

/** Draws Ashlar's logo: courses of dressed stone. */
export function Brand() {
  return (
    <svg viewBox="0 0 28 28" fill="currentColor" aria-hidden="true" focusable="false">
      <rect x="1" y="3" width="12.3" height="6.5" rx="1.2" />
      <rect x="14.7" y="3" width="12.3" height="6.5" rx="1.2" opacity=".55" />
      <rect x="1" y="10.75" width="5.5" height="6.5" rx="1.2" opacity=".55" />
      <rect x="8" y="10.75" width="12" height="6.5" rx="1.2" />
      <rect x="21.5" y="10.75" width="5.5" height="6.5" rx="1.2" opacity=".55" />
      <rect x="1" y="18.5" width="12.3" height="6.5" rx="1.2" opacity=".55" />
      <rect x="14.7" y="18.5" width="12.3" height="6.5" rx="1.2" />
    </svg>
  );
}
