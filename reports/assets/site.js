"use strict";
// What every page shares: words for numbers, state in the address, tabs, tables, figures to save. Text is only ever text:
// nothing from results is parsed as HTML.
const convbench = (() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

  // -- elements ---------------------------------------------------------------------------------------------------
  const fill = (node, attributes, children) => {
    for (const [name, value] of Object.entries(attributes)) {
      if (value === null || value === undefined || value === false) continue;
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else if (name === "text") node.textContent = value;
      else node.setAttribute(name, value === true ? "" : String(value));
    }
    node.append(...children.filter(child => child !== null && child !== undefined));
    return node;
  };
  const el = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
  const svg = (tag, attributes = {}, ...children) => fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
  const key = (css, name) => el("span", { class: "key " + css, text: name });
  const json = id => { const found = document.getElementById(id); return found ? JSON.parse(found.textContent) : null; };

  // -- numbers in words, as convbench.report.words has them --------------------------------------------------------
  const digits = (x, count = 3) => {
    if (!Number.isFinite(x)) return "";
    if (x === 0) return (0).toFixed(count - 1);
    const places = count - 1 - Number(x.toExponential(count - 1).split("e")[1]);
    return x.toFixed(Math.min(Math.max(places, 0), 9));
  };
  const UNITS = [[1, "s"], [1e-3, "ms"], [1e-6, "µs"], [1e-9, "ns"]];
  const seconds = s => {
    if (!Number.isFinite(s)) return "";
    const [scale, unit] = UNITS.find(([scale]) => s >= scale * 0.9995) ?? UNITS[3];
    return `${digits(s / scale)}\u00a0${unit}`;
  };
  const between = (low, high) => {
    const [a, b] = [seconds(low), seconds(high)].map(text => text.split("\u00a0"));
    return a.length < 2 || b.length < 2 ? "" : (a[1] === b[1] ? a[0] : a.join("\u00a0")) + " – " + b.join("\u00a0");
  };
  const bytes = b => {
    if (!Number.isFinite(b)) return "";
    for (const unit of ["B", "KiB", "MiB"]) {
      if (b < 1024) return `${unit === "B" ? b.toFixed(0) : digits(b)} ${unit}`;
      b /= 1024;
    }
    return `${digits(b)} GiB`;
  };
  const percent = share => Number.isFinite(share) ? `${digits(100 * share, 2)}\u00a0%` : "";
  const cost = regret => !Number.isFinite(regret) ? "" : regret < 1 ? percent(regret) : `${digits(1 + regret, 2)}\u00a0times`;
  const shape = (layout, n) => layout === "signal" ? String(n) : `${n}\u00a0×\u00a0${n}`;

  // -- the state of the page, behind the # of its address: #section?name=value&... ---------------------------------
  const state = { section: "", params: new URLSearchParams(), listeners: [] };
  const parse = () => {
    const raw = location.hash.slice(1), cut = raw.indexOf("?");
    state.section = cut >= 0 ? raw.slice(0, cut) : raw.includes("=") ? "" : raw;
    state.params = new URLSearchParams(cut >= 0 ? raw.slice(cut + 1) : raw.includes("=") ? raw : "");
  };
  const write = () => {
    const query = state.params.toString();
    const hash = "#" + state.section + (query ? (state.section ? "?" : "") + query : "");
    if (hash === (location.hash || "#")) return;
    try { history.replaceState(null, "", hash); } catch { location.replace(hash); }
  };
  const get = name => state.params.get(name);
  const set = values => {
    for (const [name, value] of Object.entries(values)) {
      if (value === null || value === undefined || value === "") state.params.delete(name); else state.params.set(name, value);
    }
    write();
  };
  const address = values => new URLSearchParams(Object.entries(values).filter(([, v]) => v !== null && v !== undefined)).toString();
  const show = () => {
    const target = state.section && document.getElementById(state.section);
    if (target) target.scrollIntoView({ behavior: "instant" });
  };
  parse();
  addEventListener("hashchange", () => { parse(); for (const listener of state.listeners) listener(); show(); });
  // A link to a section of this page keeps the state.
  document.addEventListener("click", event => {
    const link = event.target.closest?.("a[href]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || link.target) return;
    const [page, hash] = link.href.split("#");
    if (hash === undefined || hash.includes("=") || page !== location.href.split("#")[0]) return;
    const target = document.getElementById(decodeURIComponent(hash));
    if (!target) return;
    event.preventDefault();
    if (!link.classList.contains("skip")) { state.section = hash; write(); }
    if (!target.hasAttribute("tabindex")) target.tabIndex = -1;
    target.focus({ preventScroll: true });
    target.scrollIntoView();
  });

  // -- theme ------------------------------------------------------------------------------------------------------
  const root = document.documentElement, themes = ["auto", "light", "dark"];
  const themeButton = document.getElementById("theme");
  const theme = () => root.dataset.theme ?? "auto";
  const tellTheme = () => { themeButton.querySelector("span").textContent = theme(); };
  if (themeButton) {
    themeButton.hidden = false;
    tellTheme();
    themeButton.addEventListener("click", () => {
      const next = themes[(themes.indexOf(theme()) + 1) % themes.length];
      if (next === "auto") delete root.dataset.theme; else root.dataset.theme = next;
      try { if (next === "auto") localStorage.removeItem("convbench-theme"); else localStorage.setItem("convbench-theme", next); } catch { /* not kept */ }
      tellTheme();
    });
  }

  // -- permalinks on headings ---------------------------------------------------------------------------------------
  for (const section of all("section[id]")) {
    const heading = section.querySelector("h2");
    if (heading && !heading.querySelector(".anchor")) heading.append(el("a", { class: "anchor", href: "#" + section.id, "aria-label": "Link to " + heading.textContent.trim(), text: "#" }));
  }

  // -- legends: point at a backend, or press it, to make its lines stand out ---------------------------------------
  const legendButtons = all(".legend button");
  const emphasise = slot => { if (slot !== undefined && slot !== null) document.body.dataset.only = slot; else delete document.body.dataset.only; };
  const pressed = () => get("only");
  const tellLegend = () => {
    for (const button of legendButtons) button.setAttribute("aria-pressed", String(button.textContent.trim() === pressed()));
    emphasise(legendButtons.find(b => b.textContent.trim() === pressed())?.dataset.slot);
  };
  for (const button of legendButtons) {
    button.addEventListener("mouseenter", () => emphasise(button.dataset.slot));
    button.addEventListener("mouseleave", tellLegend);
    button.addEventListener("click", () => {
      const name = button.textContent.trim();
      set({ only: pressed() === name ? null : name });
      tellLegend();
    });
  }
  if (legendButtons.length) { tellLegend(); state.listeners.push(tellLegend); }

  // -- tabs: one choice of what was measured, for every section that has it ----------------------------------------
  const bars = all(".tabs");
  for (const bar of bars) bar.hidden = false;
  const setListeners = [];
  let chosen = null;
  const choose = slug => {
    chosen = slug;
    for (const section of new Set([...bars.map(bar => bar.parentElement), ...all("section")])) {
      const sets = all(".set[data-set]", section);
      if (!sets.some(s => s.dataset.set === slug)) continue;
      for (const s of sets) s.hidden = s.dataset.set !== slug;
    }
    for (const button of all(".tabs button")) {
      const scope = button.parentElement.classList.contains("setbar") ? document : button.closest("section");
      if (scope && all(`.set[data-set]`, scope).some(s => s.dataset.set === slug)) button.setAttribute("aria-pressed", String(button.dataset.set === slug));
    }
    for (const listener of setListeners) listener(slug);
  };
  for (const button of all(".tabs button")) button.addEventListener("click", () => {
    const before = button.getBoundingClientRect().top;
    choose(button.dataset.set);
    set({ set: button.dataset.set });
    scrollBy({ top: button.getBoundingClientRect().top - before, behavior: "instant" });  // stay where the reader is
  });
  const restoreSet = () => {
    const wanted = get("set"), buttons = all(".tabs button");
    // without a choice every bar begins with its first; with one, bars that lack it still do
    for (const bar of bars) { const first = bar.querySelector("button"); if (first) choose(first.dataset.set); }
    if (buttons[0]) choose(buttons[0].dataset.set);
    if (wanted && buttons.some(b => b.dataset.set === wanted)) choose(wanted);
  };
  restoreSet();
  state.listeners.push(restoreSet);

  // -- tables -------------------------------------------------------------------------------------------------------
  const compare = (a, b) => typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });
  const ordered = (items, value, sign) => items.map(item => [value(item), item]).sort(([a], [b]) =>
    a === null || b === null ? (a === null) - (b === null) : sign * compare(a, b)).map(([, item]) => item);
  /* Buttons in the headings of a table; sort(column, sign) orders it. Returns a function that shows, and does, an order. */
  const headings = (table, sort) => {
    const cells = all("thead tr:last-child th", table);
    const apply = (column, sign) => {
      cells.forEach((th, i) => { if (i === column) th.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending"); else th.removeAttribute("aria-sort"); });
      sort(column, sign);
    };
    cells.forEach((th, column) => {
      if (!th.textContent.trim()) return;
      const button = el("button", { type: "button", class: "sort", title: th.title ? th.title + "; sort" : "Sort" });
      button.append(...th.childNodes);
      button.addEventListener("click", () => apply(column, th.getAttribute("aria-sort") === "ascending" ? -1 : 1));
      th.replaceChildren(button);
    });
    return apply;
  };
  const sortValue = cell => {
    const text = cell?.dataset.sort ?? cell?.textContent.trim() ?? "";
    return text === "" ? null : isNaN(text) ? text : Number(text);
  };
  all("table.sortable").forEach((table, number) => {
    const name = table.id || `t${number}`, body = table.tBodies[0];
    const first = [...body.rows];
    const apply = headings(table, (column, sign) => {
      body.append(...ordered([...body.rows], row => sortValue(row.cells[column]), sign));
      set({ ["sort." + name]: `${column}${sign > 0 ? "" : "-"}` });
    });
    const filter = table.classList.contains("filterable") && el("input", { type: "search", "aria-label": "Filter the rows", placeholder: "Filter: words that a row must have" });
    const restrict = () => {
      const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
      let left = 0;
      for (const row of body.rows) {
        row.hidden = !words.every(word => row.textContent.toLowerCase().includes(word));
        left += !row.hidden;
      }
      count.textContent = words.length ? `${left} of ${body.rows.length} rows` : "";
    };
    const count = el("span", { class: "note", "aria-live": "polite" });
    if (filter) {
      (table.closest(".scroll") ?? table).before(el("p", { class: "filters" }, filter, count));
      filter.addEventListener("input", () => { restrict(); set({ ["filter." + name]: filter.value }); });
    }
    const restore = () => {
      const order = /^(\d+)(-?)$/.exec(get("sort." + name) ?? "");
      if (order && Number(order[1]) < first[0]?.cells.length) apply(Number(order[1]), order[2] ? -1 : 1);
      if (filter) { filter.value = get("filter." + name) ?? ""; restrict(); }
    };
    restore();
    state.listeners.push(restore);
  });

  // -- data: scripts, because a page from file:// may load no other files -----------------------------------------
  const loading = new Map();
  const load = name => {
    if (window.convbenchData?.[name]) return Promise.resolve(window.convbenchData[name]);
    if (!loading.has(name)) loading.set(name, new Promise((resolve, reject) => {
      const script = el("script", { src: `data/${encodeURIComponent(name)}.js` });
      script.onload = () => window.convbenchData?.[name] ? resolve(window.convbenchData[name]) : reject(new Error(`data/${name}.js does not hold what it should: run convbench report again`));
      script.onerror = () => reject(new Error(`data/${name}.js is missing: run convbench report again`));
      document.head.append(script);
    }));
    return loading.get(name);
  };

  // -- figures that can be saved ------------------------------------------------------------------------------------
  const COPIED = ["fill", "stroke", "stroke-width", "stroke-dasharray", "stroke-linejoin", "stroke-linecap", "opacity", "font-family", "font-size", "font-weight", "text-anchor", "paint-order", "dominant-baseline"];
  const painted = (from, to) => {
    const style = getComputedStyle(from);
    to.removeAttribute("class");
    to.setAttribute("style", COPIED.map(name => `${name}:${style.getPropertyValue(name)}`).join(";"));
    [...from.children].forEach((child, i) => painted(child, to.children[i]));
  };
  const plotOf = figure => figure.querySelector("svg.plot");
  const serialised = (drawn, width, height, title) => {
    const paper = getComputedStyle(document.body).backgroundColor, margin = 12, head = title ? 22 : 0;
    const whole = svg("svg", { xmlns: "http://www.w3.org/2000/svg", width: width + 2 * margin, height: height + 2 * margin + head, viewBox: `${-margin} ${-margin - head} ${width + 2 * margin} ${height + 2 * margin + head}` },
      svg("rect", { x: -margin, y: -margin - head, width: "100%", height: "100%", fill: paper }));
    if (title) whole.append(svg("text", { x: 0, y: -head + 8, "font-size": Math.min(13, 1.9 * (width + margin) / title.length), "font-weight": 600, "font-family": "system-ui, sans-serif", fill: getComputedStyle(document.body).color, text: title }));
    whole.append(drawn);
    return new XMLSerializer().serializeToString(whole);
  };
  const named = figure => figure.dataset.name || plotOf(figure)?.getAttribute("aria-label") || figure.querySelector("figcaption")?.textContent.trim() || "figure";
  /* The figure as a whole SVG file, colours resolved: its plot, or its table drawn as it is seen. */
  const svgOf = figure => {
    const plot = plotOf(figure);
    if (!plot) return tableSvg(figure);
    const copy = plot.cloneNode(true), [, , width, height] = plot.getAttribute("viewBox").split(/\s+/).map(Number);
    painted(plot, copy);
    copy.setAttribute("width", width);
    copy.setAttribute("height", height);
    copy.style.overflow = "visible";
    return serialised(copy, width, height, named(figure));
  };
  const tableSvg = figure => {
    const table = figure.querySelector("table"), box = table.getBoundingClientRect(), group = svg("g");
    const hatch = svg("pattern", { id: "hatch", width: 8, height: 8, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" }, svg("rect", { width: 3, height: 8, fill: getComputedStyle(document.body).color, "fill-opacity": 0.16 }));
    group.append(svg("defs", {}, hatch));
    for (const cell of all("th, td", table)) {
      const at = cell.getBoundingClientRect(), style = getComputedStyle(cell);
      if (!at.width) continue;
      const place = { x: at.left - box.left, y: at.top - box.top, width: at.width, height: at.height, rx: 4 };
      if (cell.tagName === "TD") group.append(svg("rect", { ...place, fill: style.backgroundColor }));
      if (cell.classList.contains("split") || cell.classList.contains("tie")) group.append(svg("rect", { ...place, fill: "url(#hatch)" }));
      const walker = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
      while (walker.nextNode()) {
        const node = walker.currentNode, look = getComputedStyle(node.parentElement), range = document.createRange();
        const text = { "font-family": look.fontFamily, "font-size": look.fontSize, "font-weight": look.fontWeight, fill: look.color };
        let line = null;
        for (let i = 0; i < node.length; i++) {  // the browser has broken the lines: each character is where it is
          range.setStart(node, i); range.setEnd(node, i + 1);
          const mark = range.getBoundingClientRect();
          if (!mark.width) continue;
          if (!line || Math.abs(mark.top - line.top) > 2) {
            line = { top: mark.top, node: svg("text", { ...text, x: mark.left - box.left, y: mark.bottom - box.top - 0.22 * mark.height }) };
            group.append(line.node);
          }
          line.node.textContent += node.data[i];
        }
      }
    }
    return serialised(group, box.width, box.height, named(figure));
  };
  const pngOf = figure => new Promise((resolve, reject) => {
    const image = new Image();
    image.onload = () => {
      const canvas = el("canvas", { width: 2 * image.width, height: 2 * image.height });
      canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
      canvas.toBlob(blob => blob ? resolve(blob) : reject(new Error("the browser drew nothing")), "image/png");
    };
    image.onerror = () => reject(new Error("the figure cannot be drawn"));
    image.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(svgOf(figure));
  });
  const save = (blob, figure, ending) => {
    const link = el("a", { href: URL.createObjectURL(blob), download: `${named(figure).toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "").slice(0, 80)}.${ending}` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };
  const savable = figure => {
    if (figure.querySelector(".save") || !(plotOf(figure) || figure.querySelector("table"))) return;
    figure.append(el("div", { class: "save" },
      el("button", { type: "button", text: "SVG", "aria-label": `Save as SVG: ${named(figure)}`, onclick: () => save(new Blob([svgOf(figure)], { type: "image/svg+xml" }), figure, "svg") }),
      el("button", { type: "button", text: "PNG", "aria-label": `Save as PNG: ${named(figure)}`, onclick: () => pngOf(figure).then(blob => save(blob, figure, "png")) })));
  };
  for (const figure of all("figure")) savable(figure);

  addEventListener("load", show);
  return { all, el, svg, key, json, digits, seconds, between, bytes, percent, cost, shape, get, set, address, state, load, headings, ordered, choose, onset: listener => { setListeners.push(listener); if (chosen) listener(chosen); }, savable, svgOf, pngOf, compare };
})();
window.convbench = convbench;
