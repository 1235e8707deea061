/** Checks for every page of the console, as scripts that run in the page. */

/** Returns the controls that have no name for a screen reader. */
export const unnamedControls = `(() => {
  const named = (element) =>
    [element.getAttribute("aria-label"), element.textContent, element.title, element.placeholder,
      ...[...(element.labels ?? [])].map((label) => label.textContent),
      ...(element.getAttribute("aria-labelledby") ?? "").split(" ").map((id) => document.getElementById(id)?.textContent),
    ].some((text) => (text ?? "").trim() !== "");
  return [...document.querySelectorAll("button, a[href], input, select, textarea, [role=button], [role=tab], [tabindex='0']")]
    .filter((element) => !named(element))
    .map((element) => element.outerHTML.slice(0, 120));
})()`;

/**
 * Returns the texts whose contrast is below WCAG 2.2 AA: 4.5 to 1, for large text 3 to 1. Text that is dimmed or
 * disabled on purpose is skipped, and text of the picture, whose background is drawn.
 */
export const faintTexts = `(() => {
  const parse = (text) => {
    const [r, g, b, a = 1] = (text.match(/[0-9.]+/g) ?? [0, 0, 0, 0]).map(Number);
    return text.startsWith("color(srgb") ? { r: r * 255, g: g * 255, b: b * 255, a } : { r, g, b, a };
  };
  const over = (top, below) => {
    const mix = (one, other) => one * top.a + other * (1 - top.a);
    return { r: mix(top.r, below.r), g: mix(top.g, below.g), b: mix(top.b, below.b), a: 1 };
  };
  const groundOf = (element) => {
    const layers = [];
    for (let at = element; at !== null; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.a > 0) layers.push(colour);
      if (colour.a === 1) break;
    }
    return layers.reduceRight((below, top) => over(top, below), { r: 255, g: 255, b: 255, a: 1 });
  };
  const luminance = ({ r, g, b }) => {
    const [x, y, z] = [r, g, b].map((part) => part / 255).map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const contrast = (one, other) => {
    const [light, dark] = [luminance(one), luminance(other)].sort((x, y) => y - x);
    return (light + 0.05) / (dark + 0.05);
  };
  const found = new Set();
  const walker = document.createTreeWalker(document.getElementById("console"), NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node !== null; node = walker.nextNode()) {
    const element = node.parentElement;
    if (node.textContent.trim() === "" || element.closest("svg, :disabled, .hidden, .skip") !== null) continue;
    if (element.getClientRects().length === 0) continue;
    const style = getComputedStyle(element);
    const ground = groundOf(element);
    const size = Number.parseFloat(style.fontSize);
    const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    const ratio = contrast(over(parse(style.color), ground), ground);
    if (ratio < (isLarge ? 3 : 4.5)) found.add(node.textContent.trim().slice(0, 40) + " has " + ratio.toFixed(2));
  }
  return [...found];
})()`;
