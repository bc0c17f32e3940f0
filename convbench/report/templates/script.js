"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

  // Legend: point at a backend, or press it, to make its lines stand out.
  const buttons = all(".legend button");
  const pressed = () => buttons.find(b => b.getAttribute("aria-pressed") === "true");
  const emphasise = button => {
    if (button) document.body.dataset.only = button.dataset.slot; else delete document.body.dataset.only;
  };
  for (const button of buttons) {
    button.addEventListener("mouseenter", () => emphasise(button));
    button.addEventListener("mouseleave", () => emphasise(pressed()));
    button.addEventListener("click", () => {
      const on = button.getAttribute("aria-pressed") !== "true";
      for (const other of buttons) other.setAttribute("aria-pressed", String(on && other === button));
      emphasise(pressed());
    });
  }

  // Tabs: one choice of what was measured, for every section that has it.
  const bars = all(".tabs");
  for (const bar of bars) bar.hidden = false;
  const choose = slug => {
    for (const section of new Set(bars.map(bar => bar.parentElement))) {
      const sets = all(".set[data-set]", section);
      if (!sets.some(set => set.dataset.set === slug)) continue;
      for (const set of sets) set.hidden = set.dataset.set !== slug;
      for (const b of all(".tabs button", section)) b.setAttribute("aria-pressed", String(b.dataset.set === slug));
    }
  };
  for (const button of all(".tabs button")) button.addEventListener("click", () => {
    const before = button.getBoundingClientRect().top;
    choose(button.dataset.set);
    scrollBy({ top: button.getBoundingClientRect().top - before, behavior: "instant" });  // stay where the reader is
  });
  const firstSet = document.querySelector(".tabs button");
  if (firstSet) choose(firstSet.dataset.set);
  if (location.hash.startsWith("#set=")) choose(decodeURIComponent(location.hash.slice(5)));

  const compare = (a, b) => (typeof a === "number" && typeof b === "number") ? a - b : String(a).localeCompare(String(b));
  const headings = (table, sort) => {
    const cells = all("thead th", table);
    cells.forEach((th, column) => {
      th.tabIndex = 0;
      th.classList.add("sorts");
      const act = () => {
        const down = th.getAttribute("aria-sort") === "ascending";
        for (const other of cells) other.removeAttribute("aria-sort");
        th.setAttribute("aria-sort", down ? "descending" : "ascending");
        sort(column, down ? -1 : 1, th);
      };
      th.addEventListener("click", act);
      th.addEventListener("keydown", e => { if (e.key === "Enter" || e.key === " ") { e.preventDefault(); act(); } });
    });
  };

  // Small tables: sort the rows that are there; empty cells last.
  for (const table of all("table.sortable")) {
    headings(table, (column, sign) => {
      const body = table.tBodies[0];
      const value = row => {
        const text = row.cells[column].dataset.sort ?? row.cells[column].textContent.trim();
        return text === "" ? null : isNaN(text) ? text : Number(text);
      };
      const rows = [...body.rows].map(row => [value(row), row]);
      rows.sort(([a], [b]) => a === null || b === null ? (a === null) - (b === null) : sign * compare(a, b));
      body.append(...rows.map(([, row]) => row));
    });
  }

  // The table of all cells: drawn from the data in the page, a hundred rows at a time.
  const data = document.getElementById("data") && JSON.parse(document.getElementById("data").textContent);
  if (!data || !data.rows) return;
  const table = document.getElementById("ranking"), body = table.tBodies[0], form = document.getElementById("filters");
  const columns = all("thead th", table).map(th => th.dataset.col);
  const KEYS = ["layout", "image", "kernel", "dtype", "device", "threads", "family", "backend"];
  const STEP = 100;
  const digits = x => { const d = 2 - Number(x.toExponential(2).split("e")[1]); return x.toFixed(Math.min(Math.max(d, 0), 9)); };
  const time = s => { for (const [scale, unit] of [[1, "s"], [1e-3, "ms"], [1e-6, "µs"]]) if (s >= scale * .9995) return digits(s / scale) + " " + unit; return digits(s / 1e-9) + " ns"; };
  const size = b => { for (const unit of ["B", "KiB", "MiB"]) { if (b < 1024) return (unit === "B" ? b.toFixed(0) : digits(b)) + " " + unit; b /= 1024; } return digits(b) + " GiB"; };
  const between = (low, high) => { const [a, b] = [time(low).split(" "), time(high).split(" ")]; return (a[1] === b[1] ? a[0] : a.join(" ")) + " – " + b.join(" "); };
  const get = (column, i) => { const v = data.columns[column][i]; return data.words[column] ? data.words[column][v] : v; };
  const show = (column, i) => {
    const v = get(column, i);
    if (v === null) return "";
    if (column === "execute_low_s") return get("execute_high_s", i) === null ? "" : between(v, get("execute_high_s", i));
    if (column.endsWith("_s")) return time(v);
    if (column === "peak_memory_bytes") return size(v);
    if (column === "ratio") return v < 100 ? v.toFixed(2) : v.toFixed(0);
    if (column === "share") return (v < .1 ? Number((100 * v).toPrecision(2)) : (100 * v).toFixed(0)) + " %";
    if (column === "error_over_bound") return v === 0 ? "0" : Number(v.toPrecision(2)).toString();
    return String(v);
  };

  const state = new URLSearchParams(location.hash.startsWith("#cells?") ? location.hash.slice(7) : "");
  const selects = {};
  for (const key of KEYS) {
    const values = data.words[key];
    if (values.length < 2) continue;
    const label = document.createElement("label"), select = document.createElement("select");
    label.textContent = key;
    select.append(new Option("all", ""), ...values.map(v => new Option(String(v), String(v))));
    label.append(select);
    form.append(label);
    selects[key] = select;
    select.addEventListener("change", () => { limit = STEP; draw(true); });
  }
  const reset = document.createElement("button");
  reset.type = "button";
  reset.textContent = "Show all";
  reset.addEventListener("click", () => { for (const s of Object.values(selects)) s.value = ""; limit = STEP; draw(true); });
  form.append(reset);
  form.hidden = false;
  form.addEventListener("submit", e => e.preventDefault());

  let limit = STEP, order = null;
  const first = body.rows[0];
  for (const [key, select] of Object.entries(selects)) {
    const given = state.get(key), start = first && columns.indexOf(key) >= 0 && key !== "backend" && key !== "family" ? first.cells[columns.indexOf(key)].textContent : "";
    select.value = state.size ? given ?? "" : start;
    if (select.selectedIndex < 0) select.value = "";
  }
  const draw = remember => {
    const wanted = Object.entries(selects).filter(([, s]) => s.value !== "").map(([key, s]) => [data.columns[key], data.words[key].findIndex(w => String(w) === s.value)]);
    const rows = [];
    for (let i = 0; i < data.rows; i++) if (wanted.every(([column, code]) => column[i] === code)) rows.push(i);
    if (order) rows.sort((a, b) => {
      const x = get(order.column, a), y = get(order.column, b);
      return x === null || y === null ? (x === null) - (y === null) : order.sign * compare(x, y) || a - b;
    });
    // a column that is the same in every row, because it was chosen, is left out
    const fixed = columns.map(column => Boolean(selects[column]?.value) && column !== "family" && column !== "backend");
    all("thead th", table).forEach((th, c) => { th.hidden = fixed[c]; });
    body.replaceChildren(...rows.slice(0, limit).map(i => {
      const tr = document.createElement("tr");
      columns.forEach((column, c) => {
        if (fixed[c]) return;
        const td = tr.insertCell();
        td.className = table.tHead.rows[0].cells[c].classList.contains("num") ? "num" : "";
        if (column === "family") {
          const key = document.createElement("span");
          key.className = "key " + data.words.css[data.columns.family[i]];
          key.textContent = show(column, i);
          td.append(key);
        } else if (column === "execute_s") {
          const b = document.createElement("b");
          b.textContent = show(column, i);
          td.append(b);
        } else td.textContent = show(column, i);
      });
      return tr;
    }));
    const left = data.of - data.rows;
    document.getElementById("shown").textContent = `${Math.min(limit, rows.length)} of ${rows.length} rows` + (left ? `; ${left} slower ones are in the downloads only` : "");
    document.getElementById("more").hidden = rows.length <= limit;
    if (remember) {
      const chosen = new URLSearchParams(Object.entries(selects).filter(([, s]) => s.value !== "").map(([k, s]) => [k, s.value]));
      try { history.replaceState(null, "", "#cells?" + (chosen.size ? chosen : "all=1")); } catch { /* file:// may refuse */ }
    }
  };
  document.getElementById("more").addEventListener("click", () => { limit += 5 * STEP; draw(false); });
  headings(table, (column, sign) => { order = { column: columns[column], sign }; draw(false); });
  draw(false);
  if (state.size) document.getElementById("cells").scrollIntoView();
})();
