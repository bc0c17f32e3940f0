"use strict";
// The page of a cell: which one is in the address; its backends ranked, their samples, evidence, history and commands.
(() => {
  const { all, el, svg, key, seconds, between, bytes, percent, cost, digits, shape, get, set, load, headings, ordered, savable } = convbench;
  const { rowsOf, ok, addressOf, backendLink, costText, failed, ticks, tick } = convbench.cells;
  const places = convbench.json("index").places;
  const form = document.getElementById("cell-form"), page = document.getElementById("cell"), title = document.getElementById("cell-title"), sub = document.getElementById("cell-sub");
  const KEYS = ["machine", "set", "image", "kernel"];
  const selects = Object.fromEntries(KEYS.map(name => [name, el("select", { name })]));
  const LABELS = { machine: "Machine", set: "What", image: "Image n", kernel: "Kernel k" };
  form.append(...KEYS.map(name => el("label", { text: LABELS[name] }, selects[name])));
  form.hidden = false;
  form.addEventListener("submit", event => event.preventDefault());
  const options = (select, pairs, wanted) => {
    select.replaceChildren(...pairs.map(([value, text]) => new Option(text, value)));
    select.value = wanted ?? "";
    if (select.selectedIndex < 0) select.selectedIndex = 0;
  };

  // -- numbers of samples ------------------------------------------------------------------------------------------
  const quantile = (sorted, q) => {
    const at = q * (sorted.length - 1), below = Math.floor(at), above = Math.min(below + 1, sorted.length - 1);
    return sorted[below] + (sorted[above] - sorted[below]) * (at - below);
  };
  /* Quantiles of samples, and Tukey's fences: what lies beyond 1.5 interquartile ranges of the quartiles is flagged. */
  const numbers = samples => {
    const known = samples.filter(s => s > 0).sort((a, b) => a - b);
    if (!known.length) return null;
    const [q5, q25, q50, q75, q95] = [0.05, 0.25, 0.5, 0.75, 0.95].map(q => quantile(known, q));
    const fences = [q25 - 1.5 * (q75 - q25), q75 + 1.5 * (q75 - q25)];
    return { min: known[0], max: known.at(-1), q5, q25, q50, q75, q95, fences, outliers: known.filter(s => s < fences[0] || s > fences[1]).length };
  };

  // -- figures ---------------------------------------------------------------------------------------------------------
  const outlier = (s, n) => s < n.fences[0] || s > n.fences[1];
  const flag = "M0,-4L4,3H-4z";
  /* A row of dots for each backend: every sample, quartiles as a bar, outliers as open triangles. */
  const strips = (rows, chosen) => {
    const known = rows.map(row => [row, numbers(row.samples)]).filter(([, n]) => n);
    if (!known.length) return el("p", { class: "note", text: "No samples were kept of this cell." });
    const W = Math.max(340, Math.min(720, page.clientWidth)), L = W < 600 ? 112 : 150, R = 14, T = 6, STEP = 22, H = T + STEP * known.length + 34;
    const low = Math.min(...known.map(([, n]) => n.min)) / 1.06, high = Math.max(...known.map(([, n]) => n.max)) * 1.06;
    const x = s => L + (W - L - R) * Math.log(s / low) / Math.log(high / low);
    const plot = svg("svg", { class: "plot", viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": "Samples of every backend" });
    const marks = ticks(low, high).filter((t, i, every) => i === 0 || W > 600 || every.length < 5 || i % 2 === 0);
    for (const t of marks) plot.append(svg("line", { x1: x(t), x2: x(t), y1: T, y2: H - 30, class: "grid" }), svg("text", { x: x(t), y: H - 14, "text-anchor": "middle", class: "tick", text: tick(t) }));
    known.forEach(([row, n], i) => {
      const y = T + STEP * (i + 0.5), group = svg("g", { class: `drawn ${row.css}` }, svg("title", { text: `${row.backend}: median ${seconds(n.q50)}, ${row.samples.length} samples, ${n.outliers} outliers` }));
      plot.append(svg("text", { x: L - 10, y: y + 4, "text-anchor": "end", class: row.backend === chosen ? "tick strong" : "tick", text: row.backend }));
      group.append(svg("rect", { x: x(n.q25), width: Math.max(x(n.q75) - x(n.q25), 1), y: y - 7, height: 14, class: "quartiles" }));
      row.samples.forEach((s, j) => {
        if (!(s > 0)) return;
        const at = y + ((j * 7) % 11 - 5) * 0.9;
        group.append(outlier(s, n) ? svg("path", { d: flag, transform: `translate(${x(s).toFixed(1)},${at.toFixed(1)})`, class: "open" }) : svg("circle", { cx: x(s).toFixed(1), cy: at.toFixed(1), r: 2.4, class: "dot" }));
      });
      group.append(svg("line", { x1: x(n.q50), x2: x(n.q50), y1: y - 9, y2: y + 9, class: "median" }));
      plot.append(group);
    });
    return plot;
  };
  const chart = (values, label, draw) => {
    const W = 360, H = 190, L = 56, R = 12, T = 10, B = 34, known = values.filter(v => v > 0);
    const middle = (Math.min(...known) + Math.max(...known)) / 2, half = Math.max((Math.max(...known) - Math.min(...known)) * 0.6, 0.02 * middle);
    const [low, high] = [Math.max(middle - half, 0), middle + half];
    const x = i => L + (W - L - R) * (values.length > 1 ? i / (values.length - 1) : 0.5), y = t => H - B - (H - B - T) * (t - low) / (high - low);
    const plot = svg("svg", { class: "plot", viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": label });
    for (const share of [0.1, 0.5, 0.9]) { const t = low + share * (high - low); plot.append(svg("line", { x1: L, x2: W - R, y1: y(t), y2: y(t), class: "grid" }), svg("text", { x: L - 6, y: y(t) + 4, "text-anchor": "end", class: "tick", text: seconds(t) })); }
    plot.append(svg("path", { d: `M${L},${T}V${H - B}H${W - R}`, class: "axis" }));
    draw(plot, x, y, { W, H, L, R, T, B });
    return plot;
  };
  /* The samples of one backend in the order they were taken, process by process. */
  const inOrder = row => {
    const n = numbers(row.samples), name = `Samples of ${row.backend} in the order they were taken`;
    return chart(row.samples, name, (plot, x, y, at) => {
      let end = 0;
      for (const size of row.processes.slice(0, -1)) { end += size; const line = (x(end - 1) + x(end)) / 2; plot.append(svg("line", { x1: line, x2: line, y1: at.T, y2: at.H - at.B, class: "divide" })); }
      const group = svg("g", { class: `drawn ${row.css}` }, svg("line", { x1: at.L, x2: at.W - at.R, y1: y(n.q50), y2: y(n.q50), class: "median" }));
      row.samples.forEach((s, i) => { if (s > 0) group.append(outlier(s, n) ? svg("path", { d: flag, transform: `translate(${x(i)},${y(s)})`, class: "open" }) : svg("circle", { cx: x(i), cy: y(s), r: 3, class: "dot" })); });
      plot.append(group, svg("text", { x: (at.L + at.W - at.R) / 2, y: at.H - 10, "text-anchor": "middle", class: "tick", text: row.processes.length > 1 ? `${row.samples.length} samples in ${row.processes.length} processes` : `${row.samples.length} samples` }));
    });
  };
  const overCommits = (row, history) => {
    const times = history.times[row.index].map((t, i) => [i, t]).filter(([, t]) => t > 0);
    if (times.length < 2) return null;
    return chart(history.times[row.index], `Time of ${row.backend} over commits`, (plot, x, y, at) => {
      const group = svg("g", { class: `drawn ${row.css}` }, svg("path", { d: "M" + times.map(([i, t]) => `${x(i)},${y(t)}`).join("L"), fill: "none", "stroke-width": 1.6 }));
      for (const [i, t] of times) group.append(svg("circle", { cx: x(i), cy: y(t), r: 3.2, class: "dot" }, svg("title", { text: `${history.commits[i][0]} ${history.commits[i][1]}: ${seconds(t)}` })));
      const [first, last] = [history.commits[times[0][0]], history.commits[times.at(-1)[0]]];
      plot.append(group, svg("text", { x: at.L, y: at.H - 10, class: "tick", text: first[1] || first[0] }), svg("text", { x: at.W - at.R, y: at.H - 10, "text-anchor": "end", class: "tick", text: last[1] || last[0] }));
    });
  };
  const figureOf = (caption, drawn) => {
    const figure = el("figure", { "data-name": caption }, el("figcaption", { text: caption }), drawn);
    savable(figure);
    return figure;
  };

  // -- commands that repeat a cell ----------------------------------------------------------------------------------
  const quoted = text => `"${text.replace(/[\\"$`]/g, "\\$&")}"`;
  const command = (data, row) => {
    const name = row.backend.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
    return `convbench run --preset full --fresh --bench ${quoted(`${data.layout}.*'${name}', ${row.image}, ${row.kernel}, '${data.dtype}', '${data.device}', ${data.threads}`)}`;
  };
  /* The profile of this cell where one was taken, and the command that takes it. */
  const explained = (data, row) => {
    const place = places.find(place => place.slug === data.machine), same = { layout: data.layout, image: row.image, kernel: row.kernel, dtype: data.dtype, device: data.device, threads: data.threads, backend: row.backend };
    const found = (place?.profiles ?? []).filter(profile => Object.entries(same).every(([name, value]) => profile[name] === value));
    const image = data.layout === "signal" ? row.image : `${row.image}x${row.image}`, kernel = { signal: row.kernel, rows: `1x${row.kernel}` }[data.layout] ?? `${row.kernel}x${row.kernel}`;
    const threads = data.threads > 1 ? ` --threads ${data.threads}` : "", device = data.device === "cpu" ? "" : ` --device ${data.device}`;
    return el("div", {}, ...found.map(profile => el("p", {}, el("a", { href: profile.file, text: profile.title }))),
      el("pre", {}, el("code", { text: `convbench profile ${row.backend} --image ${image} --kernel ${kernel} --dtype ${data.dtype}${threads}${device}` })));
  };
  const python = (data, row) => {
    const image = data.layout === "signal" ? `(${row.image},)` : `(${row.image}, ${row.image})`;
    const kernel = { signal: `(${row.kernel},)`, rows: `(1, ${row.kernel})` }[data.layout] ?? `(${row.kernel}, ${row.kernel})`;
    return [...data.device === "cpu" ? ["import timeit", ""] : [], "import convbench", "",
      `problem = convbench.Problem(${image}, ${kernel}, dtype=${JSON.stringify(data.dtype)}, mode=${JSON.stringify(row.mode)}, device=${JSON.stringify(data.device)}, threads=${data.threads})`,
      `plan = convbench.get_backend(${JSON.stringify(row.backend)}).plan(problem, problem.kernel(separable=True))`,
      "data = plan.load(problem.image())", data.device === "cpu" ? "print(min(timeit.repeat(lambda: plan.execute(data), number=10)) / 10)" : "call = plan.timed(data)  # by the device's own clock\nprint(min(call.seconds(10) for _ in range(5)) / 10)"].join("\n");
  };

  // -- the page --------------------------------------------------------------------------------------------------------
  const term = (name, value) => value === "" || value === null || value === undefined ? [] : [el("dt", { text: name }), el("dd", {}, value)];
  const details = (data, row, history) => {
    const n = numbers(row.samples);
    const evidence = el("dl", {}, ...term("Verdict", ok(row) ? "ok: judged on the very data that was timed" : row.status), ...term("Reason", row.reason),
      ...term("Error / bound", row.error_over_bound === null ? "" : digits(row.error_over_bound)), ...term("Error, ulp", row.error_ulp === null ? "" : digits(row.error_ulp)),
      ...term("Worst at index", row.worst), ...term("Input, SHA-256", row.input_sha256 && el("code", { text: row.input_sha256 })), ...term("Library", `${row.library} ${row.version}`.trim()),
      ...term("Measured", row.measured), ...term("Sampling stopped", row.stopped), ...term("Clock", row.clock));
    const phases = el("dl", {}, ...term("Amortised (execute)", seconds(row.execute_s)), ...term("99 % interval", between(row.execute_low_s, row.execute_high_s)),
      ...term("One-shot, warm", seconds(row.one_shot_s)), ...term("Plan, warm", seconds(row.plan_s)), ...term("First plan of a process, cold", seconds(row.first_plan_s)), ...term("First execute of a process, cold", seconds(row.first_execute_s)),
      ...term("Second-level cache emptied before", seconds(row.cold_s)), ...term("As one graph", seconds(row.graph_s)), ...term("As the host sees it, waited for", seconds(row.wall_s)),
      ...term("Load", seconds(row.load_s)), ...term("Store", seconds(row.store_s)), ...term("Peak memory", bytes(row.peak_memory_bytes ?? NaN)), ...term("Share of ceiling", percent(row.share)),
      ...n ? term("Samples", `${row.samples.length}, of which ${n.outliers} beyond Tukey's fences; none was dropped`) : []);
    const figures = el("div", { class: "panels" });
    if (n) figures.append(figureOf(`Samples of ${row.backend} in the order they were taken`, inOrder(row)));
    const past = history && overCommits(row, history);
    if (past) figures.append(figureOf(`Time of ${row.backend} over commits`, past));
    return el("section", { id: "backend" }, el("h2", {}, backendLink(row.backend)), el("div", { class: "pair" }, evidence, phases), figures,
      el("h3", { text: "Why it takes so long" }), explained(data, row), el("h3", { text: "Repeat this cell" }), el("pre", {}, el("code", { text: command(data, row) })), el("pre", {}, el("code", { text: python(data, row) })));
  };
  const sentence = (timed, about, [rank, regret, tie]) => {
    const best = timed.find(row => row[rank] === 1), tied = timed.filter(row => row[tie] && row[rank] > 1), next = timed.find(row => row[rank] && !row[tie]);
    if (!best) return null;
    const told = el("p", { class: "lead" }, about, el("b", { text: best.backend }), ` is the fastest: ${seconds(best.execute_s)}.`);
    if (tied.length) told.append(` A tie with ${tied.map(row => row.backend).join(", ")}: the noise does not tell them apart.`);
    if (next) told.append(` Next is ${next.backend}, ${next[regret] < 1 ? cost(next[regret]) + " slower" : cost(next[regret]) + " its time"}.`);
    return told;
  };
  const COLUMNS = [
    ["rank", "Rank", row => row.rank ?? "", true], ["backend", "Backend", (row, data) => el("a", { href: addressOf(data, row), text: row.backend })], ["family", "Family", row => key(row.css, row.family)],
    ["execute_s", "Median", row => el("b", { text: ok(row) ? seconds(row.execute_s) : row.status }), true], ["rest_regret", "Cost, any kernel", row => costText(row, "rest_rank", "rest_regret", "rest_tied"), true], ["regret", "Cost, separable", row => costText(row), true],
    ["min", "Minimum", row => seconds(row.numbers?.min), true], ["q5", "5 %", row => seconds(row.numbers?.q5), true], ["q25", "25 %", row => seconds(row.numbers?.q25), true], ["q75", "75 %", row => seconds(row.numbers?.q75), true], ["q95", "95 %", row => seconds(row.numbers?.q95), true],
    ["count", "Samples", row => row.samples.length || "", true], ["outliers", "Outliers", row => row.numbers ? row.numbers.outliers : "", true], ["processes", "Processes", row => row.processes.length || "", true],
    ["one_shot_s", "One-shot", row => seconds(row.one_shot_s), true], ["plan_s", "Plan", row => seconds(row.plan_s), true], ["first_plan_s", "Cold plan", row => seconds(row.first_plan_s), true],
    ["error_over_bound", "Error / bound", row => row.error_over_bound === null ? "" : digits(row.error_over_bound, 2), true], ["error_ulp", "Error, ulp", row => row.error_ulp === null ? "" : digits(row.error_ulp, 2), true],
  ];
  const valueOf = (row, name) => name === "count" ? row.samples.length : name === "processes" ? row.processes.length : row.numbers && name in row.numbers ? row.numbers[name] : row[name] ?? null;
  let number = 0;
  const draw = () => {
    const mine = ++number;
    const place = places.find(p => p.slug === get("machine")) ?? places[0];
    options(selects.machine, places.map(p => [p.slug, p.label]), place.slug);
    const one = place.sets.find(s => ["layout", "dtype", "device", "threads"].every(name => get(name) === null || String(s[name]) === get(name))) ?? place.sets[0];
    options(selects.set, place.sets.map(s => [s.key, s.title]), one.key);
    load(one.key).then(data => {
      if (mine !== number) return null;
      const rows = rowsOf(data), sizes = (name, some) => [...new Set(some.map(row => row[name]))].sort((a, b) => a - b);
      const images = sizes("image", rows), image = images.includes(Number(get("image"))) ? Number(get("image")) : images.at(-1);
      const kernels = sizes("kernel", rows.filter(row => row.image === image)), kernel = kernels.includes(Number(get("kernel"))) ? Number(get("kernel")) : kernels[Math.floor(kernels.length / 2)];
      options(selects.image, images.map(n => [n, shape(data.layout, n)]), image);
      options(selects.kernel, kernels.map(k => [k, k]), kernel);
      const history = data.history ? load(data.history).catch(() => null) : Promise.resolve(null);
      return history.then(past => { if (mine === number) render(data, image, kernel, past); });
    }).catch(failed(page));
  };
  const render = (data, image, kernel, history) => {
    const rows = ordered(rowsOf(data).filter(row => row.image === image && row.kernel === kernel), row => row.rank ?? null, 1);
    for (const row of rows) row.numbers = numbers(row.samples);
    const timed = rows.filter(ok), chosen = rows.find(row => row.backend === get("backend")) ?? timed[0] ?? rows[0];
    const sized = { signal: `${image} samples, ${kernel} taps`, rows: `${shape("image", image)} image, 1\u00a0×\u00a0${kernel} kernel` }[data.layout] ?? `${shape("image", image)} image, ${shape("image", kernel)} kernel`;
    title.textContent = sized;
    document.title = `${sized}, ${data.dtype}, ${data.label}`;
    sub.replaceChildren(`${data.title} · `, el("a", { href: `machine-${data.machine}.html`, text: data.label }), ` · commit ${data.commit}${data.day ? " · measured " + data.day : ""} · ties below about ${percent(data.floor)}${data.pairs ? ` (${data.pairs} A/A pairs)` : " (assumed: no A/A pairs)"}`);
    const table = el("table", {}, el("thead", {}, el("tr", {}, ...COLUMNS.map(([, label, , num]) => el("th", { scope: "col", class: num ? "num" : null, text: label })))), el("tbody"));
    const body = some => table.tBodies[0].replaceChildren(...some.map(row => el("tr", { class: row === chosen ? "chosen" : null }, ...COLUMNS.slice(0, ok(row) ? COLUMNS.length : 4).map(([, , show, num]) => el("td", { class: num ? "num" : null }, show(row, data))),
      ok(row) ? null : el("td", { colspan: COLUMNS.length - 4, class: "why", text: row.reason }))));
    const apply = headings(table, (column, sign) => {
      body(ordered(rows, row => valueOf(row, COLUMNS[column][0]), sign));
      set({ sort: COLUMNS[column][0] + (sign > 0 ? "" : "-") });
    });
    body(rows);
    const wanted = /^(\w+?)(-?)$/.exec(get("sort") ?? ""), column = COLUMNS.findIndex(([name]) => name === wanted?.[1]);
    if (column >= 0) apply(column, wanted[2] ? -1 : 1);
    const separable = timed.some(row => row.family === "separable"), any = separable ? sentence(timed, "For any kernel, ", ["rest_rank", "rest_regret", "rest_tied"]) : null;
    const first = timed.length ? [any, sentence(timed, separable ? "If the kernel is separable, " : "", ["rank", "regret", "tied"])] : [el("p", { class: "lead", text: "Nothing was measured here; the reasons stand below." })];
    page.replaceChildren(...first.filter(Boolean),
      el("section", { id: "ranking" }, el("h2", { text: "Ranking" }), el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Ranking" }, table)),
      ...timed.length ? [el("section", { id: "samples" }, el("h2", { text: "Every sample" }), el("p", { class: "note", text: "A dot is a sample, the box spans the quartiles, the line is the median. Triangles lie beyond Tukey's fences (1.5 interquartile ranges): flagged, not dropped. The time axis is logarithmic." }), figureOf(`Samples: ${sized}, ${data.title}, ${data.label}`, strips(timed, chosen?.backend)))] : [],
      ...chosen ? [details(data, chosen, history)] : []);
  };
  const choose = name => {
    if (name === "machine" || name === "set") {
      const place = places.find(p => p.slug === selects.machine.value) ?? places[0], one = place.sets.find(s => s.key === selects.set.value) ?? place.sets[0];
      set({ machine: place.slug, layout: one.layout, dtype: one.dtype, device: one.device, threads: one.threads });
    }
    if (name === "image" || name === "kernel") {
      const place = places.find(p => p.slug === selects.machine.value), one = place.sets.find(s => s.key === selects.set.value);
      set({ machine: place.slug, layout: one.layout, image: selects.image.value, kernel: selects.kernel.value, dtype: one.dtype, device: one.device, threads: one.threads });
    }
    draw();
  };
  for (const name of KEYS) selects[name].addEventListener("change", () => choose(name));
  convbench.state.listeners.push(draw);
  if (places.length) draw();
})();
