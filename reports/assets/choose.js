"use strict";
// The chooser of the overview: a question in a form, and in the address, answered from the exported table.
(() => {
  const { all, el, key, seconds, between, cost, get, set, address, load, json } = convbench;
  const form = document.getElementById("chooser"), box = document.getElementById("choice");
  if (!form) return;
  const tables = json("tables"), fields = form.elements;
  const HOW = {
    measured: "measured: this very cell was timed",
    interpolated: "interpolated between measured cells",
    modelled: "modelled: outside of what was measured, so take it with care",
  };
  const NAMES = ["machine", "dtype", "device", "threads", "images", "separable"];
  const start = Object.fromEntries([...NAMES, "image_h", "image_w", "kernel_h", "kernel_w"].map(name => [name, fields[name].type === "checkbox" ? "" : fields[name].value]));
  const unique = values => [...new Set(values)];
  const fill = (select, values, wanted) => {
    select.replaceChildren(...values.map(value => new Option(value, value)));
    select.value = wanted;
    if (select.selectedIndex < 0) select.selectedIndex = 0;
    select.closest("label").hidden = select.name === "device" && values.length < 2;
  };
  const tableOf = slug => tables[slug] ? Promise.resolve(tables[slug]) : load("chooser-" + slug).then(table => tables[slug] = table);

  const question = () => {
    const size = (h, w) => [Number(fields[h].value), Number(fields[w].value)];
    let image = size("image_h", "image_w"), kernel = size("kernel_h", "kernel_w");
    if (image[0] === 1 && kernel[0] === 1) { image = [image[1]]; kernel = [kernel[1]]; }  // one row: a signal
    return { image, kernel, dtype: fields.dtype.value, device: fields.device.value, threads: Number(fields.threads.value), separable: fields.separable.checked, images: fields.images.value === "" ? null : Number(fields.images.value) };
  };
  const remember = () => {
    const size = (h, w) => `${fields[h].value}x${fields[w].value}`;
    set({
      machine: fields.machine.value === start.machine ? null : fields.machine.value, image: size("image_h", "image_w"), kernel: size("kernel_h", "kernel_w"),
      dtype: fields.dtype.value, device: fields.device.value === "cpu" ? null : fields.device.value, threads: fields.threads.value, images: fields.images.value, separable: fields.separable.checked ? 1 : null,
    });
  };
  const restore = () => {
    const machine = get("machine");
    fields.machine.value = machine ?? start.machine;
    if (fields.machine.selectedIndex < 0) fields.machine.selectedIndex = 0;
    for (const what of ["image", "kernel"]) {
      const sizes = /^(\d+)(?:x(\d+))?$/.exec(get(what) ?? "");
      fields[what + "_h"].value = sizes ? (sizes[2] ? sizes[1] : 1) : start[what + "_h"];
      fields[what + "_w"].value = sizes ? sizes[2] ?? sizes[1] : start[what + "_w"];
    }
    fields.threads.value = get("threads") ?? start.threads;
    fields.images.value = get("images") ?? "";
    fields.separable.checked = get("separable") === "1";
    return answer(get("dtype"), get("device"));
  };

  const command = (asked, table) => ["convbench recommend", `--image ${asked.image.join("x")}`, `--kernel ${asked.kernel.join("x")}`, `--dtype ${asked.dtype}`,
    ...asked.images === null ? [] : [`--images ${asked.images}`], ...asked.separable ? ["--separable"] : [], ...asked.threads === 1 ? [] : [`--threads ${asked.threads}`],
    ...asked.device === "cpu" ? [] : [`--device ${asked.device}`]].join(" ");
  const cellOf = (asked, found) => {
    if (found.how !== "measured") return null;
    const layout = asked.image.length === 1 ? "signal" : asked.kernel.includes(1) ? "rows" : "image";
    return "cell.html#" + address({ machine: fields.machine.value, layout, image: asked.image.at(-1), kernel: asked.kernel.at(-1), dtype: asked.dtype, device: asked.device, threads: found.threads, backend: found.backend });
  };
  const MOST = 6;
  const told = (table, asked) => {
    const found = convbenchChooser.choose(table, asked), others = found.alternatives.slice(0, MOST), slowest = others.at(-1).seconds;
    const each = asked.images === 1 ? "for one image, the plan included" : asked.images === null ? "an image, the plan made beforehand" : `an image, the plan shared by ${asked.images}`;
    const sentence = el("p", { class: "verdict" }, "Use ", el("b", { class: "name", text: found.backend }), " (", key(css(found.family), found.family), "): ", el("b", { text: seconds(found.seconds) }), ` ${each}.`);
    const second = found.alternatives[1];
    const runner = found.ties.length ? `A tie with ${found.ties.join(", ")}: noise and what is known do not tell them apart.` : second ? `The runner-up, ${second.backend}, ${second.cost < 1 ? "is " + cost(second.cost) + " slower" : "takes " + cost(second.cost) + " its time"}.` : "No other backend is known to do this.";
    const cell = cellOf(asked, found);
    return [sentence, el("p", { class: "runner", text: runner }),
      el("p", { class: "note" }, `95 % interval ${between(found.low, found.high)} · ${HOW[found.how]}`, ...cell ? [" · ", el("a", { href: cell, text: "its samples" })] : []),
      el("table", { class: "bars" }, el("tbody", {}, ...others.map(one => el("tr", { class: css(one.family), title: `${one.family}, ${HOW[one.how]}` }, el("th", { scope: "row", text: one.backend }),
        el("td", { class: "track" }, el("i", { style: `width:${(100 * one.seconds / slowest).toFixed(1)}%`, class: one.tied ? "tied" : null })), el("td", { class: "num", text: seconds(one.seconds) }), el("td", { class: "num", text: one === found.alternatives[0] ? "best" : one.tied ? "tie" : one.cost < 1 ? "+" + cost(one.cost) : cost(one.cost) }))))),
      el("p", { class: "note repeat" }, el("code", { text: command(asked, table) }))];
  };
  const css = family => ["direct", "separable", "fft", "framework"].includes(family) ? family : "other";

  let number = 0;
  const answer = (dtype = fields.dtype.value, device = fields.device.value) => {
    const mine = ++number, slug = fields.machine.value;
    return tableOf(slug).then(table => {
      if (mine !== number) return;
      fill(fields.dtype, unique(table.sets.map(s => s.dtype)), dtype ?? (table.sets.some(s => s.dtype === "float32") ? "float32" : table.sets[0].dtype));
      fill(fields.device, unique(table.sets.map(s => s.device)), device ?? "cpu");
      const bad = all("input", form).find(input => !input.checkValidity());
      for (const input of all("input", form)) input.setAttribute("aria-invalid", String(!input.checkValidity()));
      try {
        box.replaceChildren(...bad ? [el("p", { class: "warn", text: `${bad.closest("fieldset")?.querySelector("legend").textContent ?? ""} ${bad.closest("label").textContent.trim()}: ${bad.validationMessage}` })] : told(table, question()));
      } catch (error) {
        box.replaceChildren(el("p", { class: "warn", text: `No answer: ${error.message}.` }));
      }
      showMap(slug);
    }).catch(error => box.replaceChildren(el("p", { class: "warn", text: error.message })));
  };

  // The maps beside it: of the same machine, for the same kind of kernel, with the nearest cell marked.
  const kindOf = () => fields.separable.checked ? "separable" : "any";
  const showMap = slug => {
    const places = all(".maps .place");
    for (const place of places) place.hidden = place.dataset.place !== slug;
    for (const place of places) {
      const kinds = all("figure[data-kind]", place), kind = kinds.some(f => f.dataset.kind === kindOf()) ? kindOf() : "any";
      for (const figure of kinds) figure.hidden = figure.dataset.kind !== kind;
      for (const button of all(".switch button", place)) button.setAttribute("aria-pressed", String(button.dataset.kind === kind));
      mark(place);
    }
  };
  const mark = place => {
    const asked = question(), nearest = (texts, size) => texts.map((text, i) => [Math.abs(Math.log(parseInt(text, 10) / size)), i]).sort((a, b) => a[0] - b[0])[0]?.[1];
    for (const figure of all("figure[data-kind]", place)) {
      for (const cell of all(".asked", figure)) cell.classList.remove("asked");
      const heads = all("thead th", figure).slice(1).map(th => th.textContent), rows = all("tbody tr", figure);
      const mean = shape => Math.exp(shape.reduce((sum, n) => sum + Math.log(n), 0) / shape.length);
      const column = nearest(heads, mean(asked.image)), row = nearest(rows.map(tr => tr.cells[0].textContent), mean(asked.kernel));
      rows[row]?.cells[column + 1]?.classList.add("asked");
    }
  };
  for (const button of all(".switch button")) button.addEventListener("click", () => { fields.separable.checked = button.dataset.kind === "separable"; remember(); answer(); });
  for (const place of all(".switch")) place.hidden = false;
  for (const caption of all("figcaption.nojs")) caption.hidden = true;

  let waiting = 0;
  form.addEventListener("input", () => { answer(); clearTimeout(waiting); waiting = setTimeout(remember, 150); });
  form.addEventListener("submit", event => { event.preventDefault(); remember(); answer(); });
  convbench.state.listeners.push(restore);
  form.hidden = box.hidden = false;
  document.getElementById("static-answer").hidden = true;
  convbench.chosen = restore();
  convbench.ask = (table, asked) => convbenchChooser.choose(table, asked);
})();
