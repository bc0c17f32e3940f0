"use strict";
// The parts of a page that are drawn from the data of a set: the table of its cells, the regret map, panels left to the page.
(() => {
  const { all, el, svg, key, seconds, between, bytes, percent, cost, shape, get, set, address, load, headings, ordered, savable, compare } = convbench;
  const files = convbench.json("files") ?? {};

  // -- a set: columns become rows --------------------------------------------------------------------------------
  const CODED = ["backend", "mode", "status", "reason", "input_sha256", "stopped", "clock", "worst", "measured"];
  const rowsOf = data => data.cells ??= Array.from({ length: data.rows }, (_, i) => {
    const row = {};
    for (const [name, column] of Object.entries(data.columns)) row[name] = column[i];
    for (const name of CODED) row[name] = data.words[name][row[name]];
    const [, family, library, version, css] = data.backends[data.columns.backend[i]];
    return Object.assign(row, { family, library, version, css, index: i });
  });
  const ok = row => row.status === "ok" && row.execute_s > 0;
  const addressOf = (data, row) => "cell.html#" + address({ machine: data.machine, layout: data.layout, image: row.image, kernel: row.kernel, dtype: data.dtype, device: data.device, threads: data.threads, backend: row.backend });
  const backendLink = name => files[name] ? el("a", { href: files[name], text: name }) : el("span", { text: name });
  const costText = (row, rank = "rank", regret = "regret", tied = "tied") => ok(row) && !row.rank ? "reduced precision" : row[rank] === 1 ? "best" : row[tied] ? "tie" : cost(row[regret]);
  const failed = place => error => place.replaceChildren(el("p", { class: "warn", text: error.message }));

  // -- the table of all cells ------------------------------------------------------------------------------------------
  const STEP = 100;
  const cellTable = place => {
    const form = place.querySelector("form"), table = place.querySelector("table"), more = place.querySelector(".more"), told = place.querySelector(".shown");
    const fixed = place.dataset.backend;
    const columns = [
      ["image", "Image n", row => String(row.image), true], ["kernel", "Kernel k", row => String(row.kernel), true],
      ["rank", "Rank", row => row.rank ?? "", true],
      ...fixed ? [] : [["backend", "Backend", row => backendLink(row.backend)], ["family", "Family", row => key(row.css, row.family)]],
      ["execute_s", "Time", (row, data) => el("a", { href: addressOf(data, row), text: ok(row) ? seconds(row.execute_s) : row.status }), true],
      ["execute_low_s", "99 % interval", row => ok(row) ? between(row.execute_low_s, row.execute_high_s) : row.reason],
      ["rest_regret", "Cost, any kernel", row => costText(row, "rest_rank", "rest_regret", "rest_tied"), true], ["regret", "Cost, separable", row => costText(row), true],
      ...place.hasAttribute("data-share") ? [["share", "Share of ceiling", row => percent(row.share), true]] : [],
      ["one_shot_s", "One-shot", row => seconds(row.one_shot_s), true], ["plan_s", "Plan", row => seconds(row.plan_s), true],
      ["peak_memory_bytes", "Peak memory", row => bytes(row.peak_memory_bytes ?? NaN), true],
      ["error_over_bound", "Error / bound", row => row.error_over_bound === null ? "" : convbench.digits(row.error_over_bound, 2), true],
    ];
    let data = null, limit = STEP, order = null;
    const selects = {};
    const KEYS = ["image", "kernel", ...fixed ? [] : ["family", "backend"], "status"];
    table.tHead.rows[0].replaceChildren(...columns.map(([, label, , number]) => el("th", { scope: "col", class: number ? "num" : null, text: label })));
    const apply = headings(table, (column, sign) => {
      order = { column: columns[column][0], sign };
      set({ sort: order.column + (sign > 0 ? "" : "-") });
      draw();
    });
    for (const name of KEYS) {
      const select = selects[name] = el("select", { name });
      form.append(el("label", { text: name[0].toUpperCase() + name.slice(1) }, select));
      select.addEventListener("change", () => { limit = STEP; set({ ["cells." + name]: select.value || "all" }); draw(); });
    }
    form.append(el("button", { type: "button", text: "Show all", onclick: () => {
      for (const select of Object.values(selects)) select.value = "";
      selects.status.value = "ok";
      set(Object.fromEntries(KEYS.map(name => ["cells." + name, name === "status" ? null : "all"])));
      limit = STEP;
      draw();
    } }));
    form.addEventListener("submit", event => event.preventDefault());
    form.hidden = false;
    more.addEventListener("click", () => { limit += 5 * STEP; draw(); });
    const options = () => {
      for (const [name, select] of Object.entries(selects)) {
        const values = [...new Set(rowsOf(data).map(row => String(row[name])))].sort(compare);
        select.replaceChildren(new Option("all", ""), ...values.map(value => new Option(value, value)));
        const wanted = get("cells." + name);
        select.value = wanted ?? start(name) ?? "";
        if (wanted === "all" || select.selectedIndex < 0) select.value = "";
      }
    };
    // without a choice: the middle of the set on a machine's page, everything on a backend's
    const start = name => {
      if (name === "status") return "ok";
      const sizes = n => [...new Set(rowsOf(data).filter(ok).map(row => row[n]))].sort((a, b) => a - b);
      if (fixed || KEYS.some(n => get("cells." + n) !== null)) return "";
      return name === "image" ? String(sizes("image").at(-1) ?? "") : name === "kernel" ? String(sizes("kernel")[Math.floor(sizes("kernel").length / 2)] ?? "") : "";
    };
    const draw = () => {
      if (!data) return;
      const wanted = Object.entries(selects).filter(([, s]) => s.value !== "");
      let rows = rowsOf(data).filter(row => (!fixed || row.backend === fixed) && wanted.every(([name, s]) => String(row[name]) === s.value));
      if (order) rows = ordered(rows, row => row[order.column] ?? null, order.sign);
      // a column that says the same in every row, because it was chosen, is left out
      const chosen = columns.map(([name]) => ["image", "kernel", "family", "backend"].includes(name) && selects[name]?.value !== "");
      all("thead th", table).forEach((th, i) => { th.hidden = chosen[i]; });
      table.tBodies[0].replaceChildren(...rows.slice(0, limit).map(row => el("tr", {}, ...columns.map(([, , show, number], i) => {
        const value = show(row, data);
        return el("td", { class: number ? "num" : value === row.reason && value ? "wide" : null, hidden: chosen[i] }, value);
      }))));
      told.textContent = `${Math.min(limit, rows.length)} of ${rows.length} rows, ${data.title}`;
      more.hidden = rows.length <= limit;
    };
    const restore = () => {
      if (!data) return;
      options();
      const wanted = /^(\w+?)(-?)$/.exec(get("sort") ?? ""), column = columns.findIndex(([name]) => name === wanted?.[1]);
      if (column >= 0) apply(column, wanted[2] ? -1 : 1); else draw();
    };
    convbench.state.listeners.push(restore);
    return found => { data = found; limit = STEP; restore(); };
  };

  // -- the regret map --------------------------------------------------------------------------------------------------
  const regretMap = place => {
    const form = place.previousElementSibling, backend = form.elements.backend, kind = form.elements.kind;
    let data = null;
    form.hidden = false;
    form.addEventListener("submit", event => event.preventDefault());
    const restore = () => {
      if (backend) {
        backend.value = get("regret.backend") ?? (data && rowsOf(data).find(row => row.rank === 1)?.backend) ?? "";
        if (backend.selectedIndex < 0) backend.selectedIndex = 0;
      }
      kind.value = get("regret.kind") ?? kind.options[0].value;
      if (kind.selectedIndex < 0) kind.selectedIndex = 0;
    };
    const draw = () => {
      if (!data) return;
      const name = place.dataset.backend || backend.value;
      const separable = kind.value === "separable" || rowsOf(data).some(row => row.backend === name && row.family === "separable");
      const [rank, regret, tied] = separable ? ["rank", "regret", "tied"] : ["rest_rank", "rest_regret", "rest_tied"];
      const rows = rowsOf(data).filter(row => row.backend === name), at = new Map(rows.map(row => [`${row.image} ${row.kernel}`, row]));
      const sizes = column => [...new Set(rowsOf(data).map(row => row[column]))].sort((a, b) => a - b);
      if (!rows.length) { place.replaceChildren(el("p", { class: "note", text: `${name} has no cells in ${data.title}.` })); return; }
      const body = sizes("image").map(n => el("tr", {}, el("th", { scope: "row", text: shape(data.layout, n) }), ...sizes("kernel").map(k => {
        const row = at.get(`${n} ${k}`);
        if (!row) return el("td", { class: "none", text: "–" });
        const link = text => el("a", { href: addressOf(data, row) }, el("b", { text }), ok(row) ? el("span", { text: seconds(row.execute_s) }) : null);
        if (!ok(row)) return el("td", { class: "none", title: row.reason }, link(row.status));
        const best = row[rank] === 1, shade = best || row[tied] ? 0 : Math.min(4 + 11 * Math.log2(1 + row[regret]), 34);
        return el("td", { class: best ? "best " + row.css : row[tied] ? "tie " + row.css : "regret", style: `--shade:${shade.toFixed(1)}%`, title: `${name}: ${seconds(row.execute_s)}` + (best ? ", the best" : `, ${cost(row[regret])} ${row[regret] < 1 ? "slower than" : "the time of"} the best`) },
          link(best ? "best" : row[tied] ? "tie" : row[regret] < 1 ? "+" + percent(row[regret]) : "× " + convbench.digits(1 + row[regret], 2)));
      })));
      const caption = `Regret of ${name}, ${separable ? "separable" : "any"} kernel`;
      const figure = el("figure", { class: "map", "data-name": `${caption}, ${data.title}` }, el("figcaption", { text: `${caption}: ${data.title}` }),
        el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `${caption}, ${data.title}` },
          el("table", {}, el("thead", {}, el("tr", {}, el("th", { scope: "col", text: (data.layout === "signal" ? "n" : "image") + " ↓ · k →" }), ...sizes("kernel").map(k => el("th", { scope: "col", text: k })))), el("tbody", {}, ...body))));
      place.replaceChildren(figure);
      savable(figure);
    };
    for (const select of [backend, kind]) select?.addEventListener("change", () => { set({ ["regret." + select.name]: select.value }); draw(); });
    convbench.state.listeners.push(() => { restore(); draw(); });
    return found => { data = found; restore(); draw(); };
  };

  // -- panels that are drawn when they are looked at -----------------------------------------------------------------
  const SHAPES = {
    o: "M-3,0a3,3 0 1,0 6,0a3,3 0 1,0 -6,0", s: "M-2.7,-2.7h5.4v5.4h-5.4z", "^": "M0,-3.4L3.2,2.6H-3.2z", D: "M0,-3.8L3.8,0L0,3.8L-3.8,0z",
    v: "M0,3.4L3.2,-2.6H-3.2z", P: "M-1.2,-3.4h2.4v2.2h2.2v2.4h-2.2v2.2h-2.4v-2.2h-2.2v-2.4h2.2z", X: "M-3,-1.6L-1.6,-3L0,-1.4L1.6,-3L3,-1.6L1.4,0L3,1.6L1.6,3L0,1.4L-1.6,3L-3,1.6L-1.4,0z", p: "M0,-3.4L3.2,-1L2,2.8H-2L-3.2,-1z",
  };
  const ticks = (low, high) => {
    const decades = Math.log10(high / low), steps = decades > 2 ? [1] : decades > 1 ? [1, 3] : [1, 1.5, 2, 3, 5, 7], found = [];
    for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); e++) for (const s of steps) if (s * 10 ** e >= low && s * 10 ** e <= high) found.push(s * 10 ** e);
    return found;
  };
  const tick = value => seconds(value).replace(/^([\d.]+)/, number => String(Number(number)));
  const timePanel = (data, image, limits, marks, title) => {
    const W = 360, H = 290, L = 48, R = 10, B = 40, T = 8;
    const rows = rowsOf(data).filter(row => ok(row) && row.image === image), kernels = [...new Set(rows.map(row => row.kernel))].sort((a, b) => a - b);
    const spread = kernels.length > 1 ? 1.06 : 2, [k0, k1] = [kernels[0] / spread, kernels.at(-1) * spread];
    const x = k => L + (W - L - R) * Math.log(k / k0) / Math.log(k1 / k0), y = t => H - B - (H - B - T) * Math.log(t / limits[0]) / Math.log(limits[1] / limits[0]);
    const plot = svg("svg", { class: "plot", viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": title });
    for (const t of ticks(...limits)) plot.append(svg("line", { x1: L, x2: W - R, y1: y(t), y2: y(t), class: "grid" }), svg("text", { x: L - 6, y: y(t) + 4, "text-anchor": "end", class: "tick", text: tick(t) }));
    const shown = [], room = Math.log(k1 / k0) / 9;
    for (const k of kernels) if (!shown.length || Math.log(k / shown.at(-1)) >= room) shown.push(k);
    for (const k of kernels) plot.append(svg("line", { x1: x(k), x2: x(k), y1: H - B, y2: H - B + 3, class: "axis" }));
    for (const k of shown) plot.append(svg("text", { x: x(k), y: H - B + 16, "text-anchor": "middle", class: "tick", text: k }));
    plot.append(svg("path", { d: `M${L},${T}V${H - B}H${W - R}`, class: "axis" }), svg("text", { x: (L + W - R) / 2, y: H - 6, "text-anchor": "middle", class: "tick", text: "kernel size k" }));
    const best = new Map();
    for (const row of rows) { const at = `${row.family} ${row.kernel}`; if (!best.has(at) || best.get(at).execute_s > row.execute_s) best.set(at, row); }
    const strong = new Set([...best.values()].map(row => row.backend));
    data.backends.forEach(([name, , , , css], i) => {
      const own = rows.filter(row => row.backend === name).sort((a, b) => a.kernel - b.kernel);
      if (!own.length) return;
      const [marker, dashes] = data.looks[i], bold = strong.has(name);
      const group = svg("g", { class: `b b${data.slots[i]} ${css} drawn` }, svg("title", { text: name }),
        svg("path", { d: "M" + own.map(row => `${x(row.kernel).toFixed(1)},${y(row.execute_s).toFixed(1)}`).join("L"), fill: "none", "stroke-width": bold ? 2 : 1.1, "stroke-dasharray": dashes.length ? dashes.map(d => d * (bold ? 2 : 1.1)).join(" ") : null }));
      for (const row of own) {
        if (row.execute_low_s && row.execute_high_s && y(row.execute_low_s) - y(row.execute_high_s) > 4) group.append(svg("line", { x1: x(row.kernel), x2: x(row.kernel), y1: y(row.execute_low_s), y2: y(row.execute_high_s), "stroke-width": 1 }));
        group.append(svg("path", { d: SHAPES[marker] ?? SHAPES.o, transform: `translate(${x(row.kernel).toFixed(1)},${y(row.execute_s).toFixed(1)}) scale(${bold ? 0.85 : 0.6})`, class: bold ? "full" : "open" }));
      }
      plot.append(group);
    });
    for (const [k, below, above] of marks) {  // on the line between the two best of the family that leads below
      const own = [...best.values()].filter(row => row.family === below).sort((a, b) => a.kernel - b.kernel), i = own.findIndex(row => row.kernel >= k);
      if (i < 1) continue;
      const [a, b] = [own[i - 1], own[i]], share = Math.log(k / a.kernel) / Math.log(b.kernel / a.kernel), t = Math.exp((1 - share) * Math.log(a.execute_s) + share * Math.log(b.execute_s));
      plot.append(svg("circle", { cx: x(k), cy: y(t), r: 4.5, class: "ring" }, svg("title", { text: `${above} overtakes ${below} at k = ${k}` })), svg("text", { x: x(k), y: y(t) + 20, "text-anchor": "middle", class: "ringed", text: `k ≈ ${k < 10 ? k.toFixed(1) : k.toFixed(0)}` }));
    }
    return plot;
  };
  const limitsOf = data => {
    const ends = rowsOf(data).filter(ok).flatMap(row => [row.execute_s, row.execute_low_s ?? row.execute_s, row.execute_high_s ?? row.execute_s]);
    const low = ends.reduce((a, b) => Math.min(a, b)), high = 1.2 * ends.reduce((a, b) => Math.max(a, b));
    return [low / Math.max((high / low) ** 0.1, 1.2), high];
  };
  const drawLazy = (box, data) => {
    if (box.dataset.drawn) return;
    box.dataset.drawn = "yes";
    const limits = limitsOf(data);
    for (const figure of all("figure.lazy", box)) {
      figure.querySelector(".canvas").replaceChildren(timePanel(data, Number(figure.dataset.image), limits, JSON.parse(figure.dataset.marks), figure.dataset.name));
      savable(figure);
    }
  };

  convbench.cells = { rowsOf, ok, addressOf, backendLink, costText, failed, ticks, tick };

  // -- the cells of a winner map lead to their pages: as script, for a thousand addresses weigh more than the map ---------
  for (const figure of all("figure.map[data-cell]")) {
    const kernels = all("thead th", figure).map(th => th.textContent);
    for (const link of all("tbody a", figure)) {
      const cell = link.closest("td");
      link.href = `cell.html#${figure.dataset.cell}&` + address({ image: cell.parentElement.dataset.n, kernel: kernels[cell.cellIndex], backend: link.firstElementChild.textContent.replace(/^≈ /, "") });
    }
  }

  // -- which set: the tabs of a machine's page, the choice on a backend's ------------------------------------------
  const tables = all(".cell-table"), maps = all(".regret-map");
  if (!tables.length) return;
  const showTable = tables.map(cellTable), showMap = maps.map(regretMap);
  let current = null;
  const show = name => {
    current = name;
    load(name).then(data => {
      if (current !== name) return;
      for (const show of [...showTable, ...showMap]) show(data);
      for (const box of all("[data-lazy]")) if (!box.hidden && keys?.[box.dataset.set] === name) drawLazy(box, data);
      if (convbench.state.section) document.getElementById(convbench.state.section)?.scrollIntoView({ behavior: "instant" });
    }).catch(error => { for (const place of [...maps, ...tables]) failed(place)(error); });
  };
  const keys = convbench.json("sets");
  if (keys) {
    const slugs = Object.keys(keys);
    if (slugs.length) convbench.onset(slug => { if (keys[slug]) show(keys[slug]); });
    if (slugs.length === 1) show(keys[slugs[0]]);
  } else {
    const select = maps[0].previousElementSibling.elements.set;
    const restore = () => {
      select.value = get("set") ?? select.options[0].value;
      if (select.selectedIndex < 0) select.selectedIndex = 0;
      show(select.value);
    };
    select.addEventListener("change", () => { set({ set: select.value }); show(select.value); });
    convbench.state.listeners.push(restore);
    restore();
  }
})();
