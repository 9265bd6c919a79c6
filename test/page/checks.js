// What the tests look at inside the page, by rules that hold for any page: contrast, overflow, names,
// structure, the focus. test/blackbox/test_page.py runs this file in the browser, and then asks
// window.checks; each check gives a list of sentences, empty where nothing is wrong.
window.checks = (() => {
  const path = (element) => {
    const steps = [];
    for (let at = element; at && at !== document.body && steps.length < 4; at = at.parentElement) {
      const hook = at.getAttribute("data-test");
      steps.unshift(at.localName + (at.id ? `#${at.id}` : "") + (hook ? `[${hook}]` : "")
        + (!at.id && !hook && at.getAttribute("class") ? `.${at.getAttribute("class").split(/\s+/)[0]}` : ""));
      if (at.id) break;
    }
    return steps.join(" > ");
  };

  const isShown = (element) => element.checkVisibility({ opacityProperty: true, visibilityProperty: true })
    && element.getClientRects().length > 0;

  // Text for screen readers alone is one pixel large, or clipped away.
  const isSeen = (element) => {
    if (!isShown(element)) return false;
    for (let at = element; at; at = at.parentElement) {
      const box = at.getBoundingClientRect(), style = getComputedStyle(at);
      if (style.clipPath === "inset(50%)" || (style.overflow !== "visible" && box.width <= 1 && box.height <= 1))
        return false;
      if (style.position !== "static" && box.right <= 0) return false;
    }
    return true;
  };

  // --- colours (WCAG 2.2, 1.4.3) ------------------------------------------------------------------

  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const known = new Map();
  const rgba = (colour) => {
    if (!known.has(colour)) {
      canvas.clearRect(0, 0, 1, 1);
      canvas.fillStyle = "#000";
      canvas.fillStyle = colour;
      canvas.fillRect(0, 0, 1, 1);
      const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
      known.set(colour, [r, g, b, a / 255]);
    }
    return known.get(colour);
  };
  const over = ([r, g, b, a], below) => [r * a + below[0] * (1 - a), g * a + below[1] * (1 - a),
                                         b * a + below[2] * (1 - a), 1];
  const luminance = (colour) => {
    const [r, g, b] = colour.map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (one, other) => {
    const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (light + 0.05) / (dark + 0.05);
  };

  const page = () => (matchMedia("(prefers-color-scheme: dark)").matches ? [18, 18, 18, 1] : [255, 255, 255, 1]);
  const drawn = "rect, circle, ellipse, polygon, path";

  // What lies behind `element`'s middle: backgrounds from the root on, then the shapes of a drawing that
  // come before it.
  function behind(element, box) {
    let colour = page();
    const chain = [];
    for (let at = element; at; at = at.parentElement) chain.unshift(at);
    for (const at of chain)
      if (!(at instanceof SVGElement) || at.localName === "svg")
        colour = over(rgba(getComputedStyle(at).backgroundColor), colour);
    const svg = element instanceof SVGElement && element.ownerSVGElement;
    if (!svg) return colour;
    const x = (box.left + box.right) / 2, y = (box.top + box.bottom) / 2;
    for (const shape of svg.querySelectorAll(drawn)) {
      if (!(shape.compareDocumentPosition(element) & Node.DOCUMENT_POSITION_FOLLOWING)) break;
      const style = getComputedStyle(shape), at = shape.getBoundingClientRect();
      if (style.fill === "none" || !shape.checkVisibility() || shape.closest("defs, clipPath, symbol")
          || x < at.left || x > at.right || y < at.top || y > at.bottom) continue;
      const [r, g, b, a] = rgba(style.fill.startsWith("url") ? "transparent" : style.fill);
      colour = over([r, g, b, a * Number(style.fillOpacity) * Number(style.opacity)], colour);
    }
    return colour;
  }

  function ownOpacity(element) {
    let product = 1;
    for (let at = element; at; at = at.parentElement) product *= Number(getComputedStyle(at).opacity);
    return product;
  }

  function contrast(least = 4.5) {
    const found = new Map();
    const look = (element, box, colour, what) => {
      const back = behind(element, box);
      const [r, g, b, a] = rgba(colour);
      const value = ratio(over([r, g, b, a * ownOpacity(element)], back), back);
      if (value < least - 0.005)
        found.set(path(element), `${value.toFixed(2)}:1 ${path(element)} "${what.trim().slice(0, 40)}"`);
    };
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let text = walk.nextNode(); text; text = walk.nextNode()) {
      const element = text.parentElement;
      if (!text.data.trim() || element.closest("script, style, noscript, title, option") || !isSeen(element)) continue;
      const range = document.createRange();
      range.selectNodeContents(text);
      const box = range.getBoundingClientRect();
      if (!box.width || !box.height) continue;
      const style = getComputedStyle(element);
      look(element, box, element instanceof SVGElement ? style.fill : style.color, text.data);
    }
    for (const input of document.querySelectorAll("input, select, textarea")) {
      if (!isSeen(input)) continue;
      const empty = !input.value && input.placeholder;
      look(input, input.getBoundingClientRect(), getComputedStyle(input, empty ? "::placeholder" : null).color,
           empty ? input.placeholder : input.value || input.localName);
    }
    return [...found.values()];
  }

  // --- width --------------------------------------------------------------------------------------

  // Something that scrolls in itself (a wide table) is no overflow of the page, unless at `strict`.
  function overflow() {
    const wide = document.documentElement.clientWidth, found = [];
    if (document.documentElement.scrollWidth > wide)
      found.push(`the page is ${document.documentElement.scrollWidth} px wide in a window of ${wide} px`);
    for (const element of document.body.querySelectorAll("*")) {
      if (element instanceof SVGElement && element.localName !== "svg" || !isSeen(element)) continue;
      const box = element.getBoundingClientRect();
      if ((box.right > wide + 0.5 || box.left < -0.5) && !element.closest(".skip"))
        found.push(`${path(element)} reaches from ${Math.round(box.left)} to ${Math.round(box.right)} of ${wide} px`);
    }
    return found.slice(0, 10);
  }

  // --- names and structure ------------------------------------------------------------------------

  const labelled = (element) => (element.getAttribute("aria-labelledby") || "").split(/\s+/).filter(Boolean)
    .map((id) => document.getElementById(id)?.textContent.trim() || "").join(" ").trim();
  const named = (element) => labelled(element) || (element.getAttribute("aria-label") || "").trim();
  function name(element) {
    if (named(element)) return named(element);
    if (element.labels?.length) return [...element.labels].map((label) => label.textContent.trim()).join(" ");
    if (element.localName === "svg") return element.querySelector(":scope > title")?.textContent.trim() || "";
    if (element.matches("input, select, textarea")) return element.title.trim();
    const alt = [...element.querySelectorAll("img[alt]")].map((img) => img.alt).join(" ");
    const said = element.innerText ?? element.textContent;
    return (said.trim() || alt.trim() || element.getAttribute("title") || "").trim();
  }

  const controls = "a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex], "
    + "[role=button], [role=tab], [role=link], [role=checkbox], [contenteditable=true]";

  function document_() {
    const found = [], root = document.documentElement;
    if (!root.lang) found.push("html has no lang");
    if (!document.title.trim()) found.push("no title");
    if (document.querySelectorAll("main").length !== 1) found.push("not exactly one main");
    const headings = [...document.querySelectorAll("h1, h2, h3, h4, h5, h6")].filter(isShown);
    if (headings.filter((h) => h.localName === "h1").length !== 1) found.push("not exactly one h1");
    let level = 0;
    for (const heading of headings) {
      const now = Number(heading.localName[1]);
      if (now > level + 1) found.push(`h${now} "${heading.textContent.trim()}" follows h${level}`);
      if (!heading.textContent.trim()) found.push(`${path(heading)} is empty`);
      level = now;
    }
    const outside = [...document.body.children].filter((child) => isSeen(child) && child.textContent.trim()
      && !child.matches("header, nav, main, footer, aside, [role], .skip, script"));
    for (const child of outside) found.push(`${path(child)} is in no landmark`);
    const landmarks = new Map();
    for (const mark of document.querySelectorAll("nav, aside, section[aria-label], section[aria-labelledby]")) {
      if (!isShown(mark)) continue;
      const key = `${mark.localName} "${named(mark)}"`;
      if (landmarks.has(key)) found.push(`two landmarks ${key}`);
      landmarks.set(key, mark);
    }
    return found;
  }

  function references() {
    const found = [], ids = new Map();
    for (const element of document.querySelectorAll("[id]")) {
      if (ids.has(element.id)) found.push(`two elements have the id ${element.id}`);
      ids.set(element.id, element);
    }
    const names = ["aria-labelledby", "aria-describedby", "aria-controls", "aria-owns", "aria-activedescendant",
                   "aria-details", "aria-errormessage", "for", "headers", "list"];
    for (const attribute of names)
      for (const element of document.querySelectorAll(`[${attribute}]`))
        for (const id of element.getAttribute(attribute).split(/\s+/))
          if (id && !ids.has(id)) found.push(`${path(element)}: ${attribute}="${id}" names nothing`);
    for (const link of document.querySelectorAll("a[href^='#']"))
      if (link.hash.length > 1 && !ids.has(link.hash.slice(1)) && !link.dataset.view)
        found.push(`${path(link)} leads to ${link.hash}, which is not there`);
    return found;
  }

  function names() {
    const found = [];
    for (const element of document.querySelectorAll(controls)) {
      if (!isShown(element) || element.localName === "main") continue;
      if (!name(element)) found.push(`${path(element)} has no name`);
      if (element.tabIndex > 0) found.push(`${path(element)} has tabindex ${element.tabIndex}`);
      if (element.closest("[aria-hidden=true]") && element.tabIndex >= 0)
        found.push(`${path(element)} can have the focus and is hidden from screen readers`);
      const role = element.getAttribute("role");
      if (role && /button|link|tab|checkbox/.test(role) && element.tabIndex < 0
          && !element.closest("[role=tablist]")) found.push(`${path(element)} is a ${role} that no key reaches`);
      const inner = element.parentElement.closest("a[href], button, summary");
      if (inner) found.push(`${path(element)} lies inside ${path(inner)}`);
    }
    for (const img of document.images) if (!img.hasAttribute("alt")) found.push(`${path(img)} has no alt`);
    for (const svg of document.querySelectorAll("svg")) {
      if (!isShown(svg) || svg.closest("[aria-hidden=true]") || svg.parentElement.closest("svg")) continue;
      if (!name(svg)) found.push(`${path(svg)} has neither a name nor aria-hidden`);
      if (!svg.getAttribute("role")) found.push(`${path(svg)} has no role`);
    }
    for (const live of document.querySelectorAll("[aria-live=assertive], [role=alert]"))
      found.push(`${path(live)} interrupts`);
    return found;
  }

  function tables() {
    const found = [];
    for (const table of document.querySelectorAll("table")) {
      if (!isShown(table)) continue;
      if (!named(table) && !table.caption?.textContent.trim()) found.push(`${path(table)} has no caption`);
      if (!table.querySelector("th")) found.push(`${path(table)} has no header`);
      for (const th of table.querySelectorAll("th")) {
        if (!/^(col|row|colgroup|rowgroup)$/.test(th.scope)) found.push(`${path(th)} has no scope`);
        if (!name(th)) found.push(`${path(th)} is an empty header`);
      }
    }
    for (const item of document.querySelectorAll("li"))
      if (!item.parentElement.matches("ul, ol, menu")) found.push(`${path(item)} is in no list`);
    for (const item of document.querySelectorAll("dt, dd"))
      if (!item.closest("dl")) found.push(`${path(item)} is in no dl`);
    return found;
  }

  // WCAG 2.2, 2.5.8: a finger needs 24 px, or as much room around. Links in text are excepted.
  function targets() {
    const found = [];
    for (const element of document.querySelectorAll("button, input, select, summary")) {
      if (!isSeen(element) || element.type === "hidden") continue;
      const box = (element.matches("[type=checkbox], [type=radio]") && element.labels?.[0] || element)
        .getBoundingClientRect();
      if (box.height < 23.5 || box.width < 23.5)
        found.push(`${path(element)} is only ${Math.round(box.width)} x ${Math.round(box.height)} px`);
    }
    return found;
  }

  // --- the focus ----------------------------------------------------------------------------------

  const marks = ["outlineStyle", "outlineWidth", "outlineColor", "boxShadow", "backgroundColor", "borderTopColor",
                 "borderBottomColor", "borderBottomWidth", "textDecorationLine", "stroke", "strokeWidth"];
  const looks = (element) => {
    const style = getComputedStyle(element);
    return marks.map((mark) => style[mark]).join("|");
  };

  /** What has the focus: {path, key, seen, marked}; null: the document itself. `key` tells elements apart. */
  let count = 0;
  const keys = new WeakMap();
  function focus() {
    const element = document.activeElement;
    if (!element || element === document.body || element === document.documentElement) return null;
    if (!keys.has(element)) keys.set(element, ++count);
    const box = element.getBoundingClientRect(), style = getComputedStyle(element);
    const outlined = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1
      && rgba(style.outlineColor)[3] > 0.5;
    let differs = outlined;
    if (!differs) {
      const focused = looks(element);
      element.blur();
      differs = looks(element) !== focused;
      element.focus({ preventScroll: true });
    }
    return {
      key: keys.get(element), path: path(element), name: name(element),
      seen: box.width > 0 && box.height > 0 && box.bottom > 0 && box.top < innerHeight && isShown(element),
      marked: differs,
    };
  }

  /** How many elements Tab should reach. */
  const reachable = () => [...document.querySelectorAll(controls)].filter((element) => isShown(element)
    && element.tabIndex >= 0 && !element.disabled).length;

  const accessibility = () => [...document_(), ...references(), ...names(), ...tables(), ...targets()];
  return { accessibility, contrast, overflow, focus, reachable };
})();
