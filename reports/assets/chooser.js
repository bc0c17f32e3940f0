/* Which backend for this problem, from a chooser's table: the algorithm of convbench/analysis/recommend.py, with the same
   answers. Pure functions; choose(table, question) is what others call:
     question = {image: [h, w] or [n], kernel: [kh, kw] or [k], dtype, mode, threads, device, separable, images, available}
   mode "same", dtype "float32", threads 1, device "cpu", separable false, images null (very many) and available null (all)
   are the defaults. The answer has backend, family, seconds, low, high, how, runner_up, runner_up_cost, ties, alternatives
   and machine; times in seconds. An Error says why there is none. */
"use strict";

var convbenchChooser = (function () {
  var FORMAT = "convbench chooser", VERSION = 1;
  var COVERAGE = 1.96, LEAST_OUTSIDE = 0.35, ONCE_ERROR = 0.05, MODEL_ERROR = LEAST_OUTSIDE;
  var HOW = ["measured", "interpolated", "modelled"];

  // ---- what time grows with (chooser_model.py)

  var DEAR = { 3: 1.02, 5: 1.01, 7: 1.08 }, FEW_TWOS = 1.04;
  var ODD = [];
  for (var a = 0; a < 6; a++) for (var b = 0; b < 4; b++) for (var c = 0; c < 3; c++) {
    var odd = Math.pow(3, a) * Math.pow(5, b) * Math.pow(7, c);
    if (odd <= 1125) ODD.push([odd, Math.pow(DEAR[3], a) * Math.pow(DEAR[5], b) * Math.pow(DEAR[7], c)]);
  }

  function quickSize(least) {
    var best = Infinity, found = 0;
    ODD.forEach(function (one) {
      var length = one[0], twos = 0, bits = 0;
      while (length < least) { length *= 2; twos += 1; }
      for (var rest = length; rest >= 1; rest = Math.floor(rest / 2)) bits += 1;
      var cost = length * Math.sqrt(one[1] * Math.pow(FEW_TWOS, Math.max(0, Math.min(5, bits - 1) - twos)));
      if (cost < best) { best = cost; found = length; }
    });
    return found;
  }

  function padded(kind, n, k, mode) {
    var least = mode === "same" ? Math.max(k, n + Math.floor(k / 2)) : mode === "full" ? n + k - 1 : n;
    return kind === "fft-quick" ? quickSize(least) : least;
  }

  function outputs(image, kernel, mode) {
    return image.reduce(function (product, n, axis) {
      var k = kernel[axis];
      return product * (mode === "same" ? n : mode === "full" ? n + k - 1 : n - k + 1);
    }, 1);
  }

  function features(kind, image, kernel, mode) {
    var n1 = image[0], n2 = image[1], k1 = kernel[0], k2 = kernel[1], out = outputs(image, kernel, mode);
    var moved = n1 * n2 + out;
    if (kind === "direct") return [Math.min(n1, k1) * Math.min(n2, k2) * out, moved];
    if (kind === "separable") return [(k1 + k2) * out, moved];
    var first = k1 === 1 ? n1 : padded(kind, n1, k1, mode), second = k2 === 1 ? n2 : padded(kind, n2, k2, mode);
    var together = (k1 === 1 ? 1 : first) * (k2 === 1 ? 1 : second);
    return [first * second * Math.log2(together + 1), moved];
  }

  // ---- the grid

  function cellShapes(layout, image, kernel) {
    return [[layout === "signal" ? 1 : image, image], [layout === "image" ? kernel : 1, kernel]];
  }

  function meanLog(first, second) {
    return first === second ? Math.log(first) : (Math.log(first) + Math.log(second)) / 2;
  }

  function between(sizes, x) {
    var grid = sizes.map(Math.log), last = grid.length - 1;
    if (x <= grid[0]) return [0, 0, 0, (grid[0] - x) / Math.LN2];
    if (x >= grid[last]) return [last, last, 0, (x - grid[last]) / Math.LN2];
    var i = 0;
    while (grid[i + 1] <= x) i += 1;
    return [i, i + 1, (x - grid[i]) / (grid[i + 1] - grid[i]), 0];
  }

  function placeIn(set, image, kernel) {
    var rows = set.layout === "signal" ? [image[1], image[1]] : image;
    var longest = Math.max(kernel[0], kernel[1]);
    var columns = set.layout === "image" ? kernel : [longest, longest];
    var n = between(set.images, meanLog(rows[0], rows[1])), k = between(set.kernels, meanLog(columns[0], columns[1]));
    var corners = [];
    (n[2] === 0 ? [n[0]] : [n[0], n[1]]).forEach(function (i) {
      (k[2] === 0 ? [k[0]] : [k[0], k[1]]).forEach(function (j) { corners.push([i, j]); });
    });
    return { i: n[0], i2: n[1], u: n[2], j: k[0], j2: k[1], v: k[2], outside: n[3] + k[3], corners: corners };
  }

  function modelled(surface, at) {
    var c = surface.coefficients;
    return c[0] * at[0] + c[1] * at[1] + c[2];
  }

  /* Logarithms of measured over modelled time. Gaps take the ratio of the next smaller kernel, else of the next larger,
     else that of the nearest row above. */
  function ratiosOf(set, surface) {
    var table = surface.us.map(function (row, i) {
      return row.map(function (us, j) {
        var at = cellShapes(set.layout, set.images[i], set.kernels[j]);
        return us === null ? NaN : Math.log(us / modelled(surface, features(surface.model, at[0], at[1], "same")));
      });
    });
    table.forEach(function (row) {
      for (var j = 1; j < row.length; j++) if (isNaN(row[j])) row[j] = row[j - 1];
      for (j = row.length - 2; j >= 0; j--) if (isNaN(row[j])) row[j] = row[j + 1];
    });
    function fill(i) {
      if (!isNaN(table[i][0])) return;
      var near = i && !isNaN(table[i - 1][0]) ? table[i - 1] : table[Math.min(i + 1, table.length - 1)];
      table[i] = near.slice();
    }
    for (var i = 1; i < table.length; i++) fill(i);
    for (i = table.length - 2; i >= 0; i--) fill(i);
    return table;
  }

  /* Seconds, how they are known, and the standard error of their logarithm. */
  function estimateOn(set, entry, surface, further, place, exact, question) {
    var ratios = ratiosOf(set, surface), lower = ratios[place.i], upper = ratios[place.i2], j = place.j, j2 = place.j2;
    var first = lower[j] + place.v * (lower[j2] - lower[j]), second = upper[j] + place.v * (upper[j2] - upper[j]);
    var at = features(surface.model, question.image, question.kernel, question.mode);
    var seconds = 1e-6 * modelled(surface, at) * Math.exp(first + place.u * (second - first));
    var error = Math.max.apply(null, place.corners.map(function (corner) {
      return Math.hypot(entry.error_pct[corner[0]][corner[1]] / 100, further[0], further[1]);
    }));
    var known = place.corners.every(function (corner) { return surface.us[corner[0]][corner[1]] !== null; });
    var wrong = surface.wrong_pct.map(function (percent) { return percent / 100; }), how = "modelled";
    if (known && !place.outside) {
      if (exact && place.corners.length === 1) how = "measured";
      else {
        how = "interpolated";
        error = Math.hypot(error, place.u || !exact ? wrong[0] : 0, place.v || !exact ? wrong[1] : 0);
      }
    } else {
      error = Math.hypot(error, wrong[0], wrong[1], Math.max(LEAST_OUTSIDE, wrong[2]) * Math.max(1, place.outside));
    }
    return { seconds: seconds, how: how, error: error, apart: error };
  }

  function estimate(table, name, set, place, exact, question) {
    var entry = set.backends[name];
    var refused = entry.refused.some(function (cell) {
      return place.corners.some(function (corner) { return corner[0] === cell[0] && corner[1] === cell[1]; });
    });
    if (refused) return null;
    var excess = table.noise.excess / Math.sqrt(2);
    var found = estimateOn(set, entry, entry.execute, [excess, 0], place, exact, question);
    if (found.how === "measured") {
      found.apart = Math.hypot((entry.apart_pct || entry.error_pct)[place.i][place.j] / 100, excess);
    }
    if (question.images !== null) {
      if (!entry.one_shot) return null;
      var once = estimateOn(set, entry, entry.one_shot, [excess, ONCE_ERROR], place, exact, question);
      var further = (question.images - 1) * found.seconds;
      var how = further && HOW.indexOf(found.how) > HOW.indexOf(once.how) ? found.how : once.how;
      var shared = [found.error, found.apart].map(function (error) {
        return (once.seconds * once.error + further * error) / (once.seconds + further);
      });
      found = { seconds: (once.seconds + further) / question.images, how: how, error: shared[0], apart: shared[1] };
    }
    return known(name, table.backends[name].family, found.seconds, found.error, found.how, set.threads, found.apart);
  }

  /* apart: where measured, the share in the error of comparing with others, which were sampled side by side. */
  function known(backend, family, seconds, error, how, threads, apart) {
    return {
      backend: backend, family: family, seconds: seconds, low: seconds * Math.exp(-COVERAGE * error),
      high: seconds * Math.exp(COVERAGE * error), error: error, how: how, threads: threads, apart: apart
    };
  }

  // ---- without a set: the cost model (cost.py)

  var DESKTOP = { fma_float32: 100, fma_float64: 50, copy_l3: 40, copy: 20, fft_float32: 15, fft_float64: 8 };
  var DIRECT = 0.85, SIGNAL = 0.5, PASSES = 0.65, FFT = 0.85;
  var CALL = 15e-6, RANK = 60e-6, RANK_SAMPLE = 1e-8, PLAN = 150e-6, KERNEL = 1.3, L3 = 25165824;

  function product(values) { return values.reduce(function (p, v) { return p * v; }, 1); }

  function fromCeilings(table, question) {
    var q = question, found = [];
    if (q.device !== "cpu") return found;
    var peaks = Object.assign({}, DESKTOP, table.ceilings), isComplex = q.dtype.indexOf("complex") === 0;
    var real = q.dtype === "float64" || q.dtype === "complex128" ? "float64" : "float32";
    var out = outputs(q.given.image, q.given.kernel, q.mode);
    var moved = (product(q.given.image) + out) * (real === "float64" ? 8 : 4) * (isComplex ? 2 : 1);
    var traffic = moved / (1e9 * peaks[moved <= L3 ? "copy_l3" : "copy"]);
    var terms = product(q.given.image.map(function (n, axis) { return Math.min(n, q.given.kernel[axis]); }));
    function sums(count) {
      return 2 * count * out * (isComplex ? 4 : 1) / (1e9 * peaks["fma_" + real] * q.threads);
    }
    function add(name, family, seconds, once) {
      if (q.available && q.available.indexOf(name) < 0) return;
      var mean = q.images === null ? seconds : (once + (q.images - 1) * seconds) / q.images;
      found.push(known(name, family, mean, MODEL_ERROR, "modelled", q.threads, 0));
    }
    var direct = CALL + sums(terms) / (q.given.image.length === 2 ? DIRECT : SIGNAL) + traffic;
    add("numba-direct", "direct", direct, direct);
    if (q.given.image.length === 2 && q.separable) {
      var passes = sums(q.given.kernel[0] + q.given.kernel[1]) / PASSES + 2 * traffic;
      add("numba-separable", "separable", CALL + passes, RANK + RANK_SAMPLE * terms + passes);
    }
    var samples = product(q.given.image.map(function (n, axis) { return n + Math.floor(q.given.kernel[axis] / 2); }));
    var work = 5 * samples * Math.log2(samples + 1) * (isComplex ? 2 : 1);
    var rate = 1e9 * peaks["fft_" + real] * FFT * q.threads;
    add("pyfftw-overlap", "fft", CALL + work / rate + 2 * traffic, PLAN + KERNEL * work / rate + 2 * traffic);
    return found;
  }

  // ---- the answer

  function asked(question) {
    var q = Object.assign(
      { dtype: "float32", mode: "same", threads: 1, device: "cpu", separable: false, images: null, available: null }, question
    );
    function sizes(shape) {
      return Array.isArray(shape) && (shape.length === 1 || shape.length === 2) &&
        shape.every(function (n) { return Number.isInteger(n) && n >= 1; });
    }
    if (!sizes(q.image) || !sizes(q.kernel)) throw new Error("image and kernel must be one or two whole numbers of at least 1");
    if (q.image.length !== q.kernel.length) throw new Error("image and kernel must have the same number of axes");
    if (q.images !== null && !(Number.isInteger(q.images) && q.images >= 1)) {
      throw new Error("images must be a whole number of at least 1");
    }
    if (q.mode === "valid" && q.image.some(function (n, axis) { return q.kernel[axis] > n; })) {
      throw new Error("mode valid needs a kernel no longer than the image on every axis");
    }
    q.given = { image: q.image, kernel: q.kernel };
    q.layout = q.image.length === 1 ? "signal" : q.kernel.indexOf(1) >= 0 ? "rows" : "image";
    q.image = q.image.length === 1 ? [1, q.image[0]] : q.image;
    q.kernel = q.kernel.length === 1 ? [1, q.kernel[0]] : q.kernel;
    q.separable = q.separable || q.kernel.indexOf(1) >= 0;
    return q;
  }

  function rank(table, q) {
    var found = Object.create(null), inside = Object.create(null);
    var sets = table.sets.filter(function (set) {
      return set.layout === q.layout && set.dtype === q.dtype && set.device === q.device && set.threads <= q.threads;
    }).sort(function (first, second) { return second.threads - first.threads; });
    sets.forEach(function (set) {
      var place = placeIn(set, q.image, q.kernel);
      var exact = q.mode === "same" && q.image[0] === cellShapes(set.layout, q.image[1], 1)[0][0] &&
        q.kernel[0] === cellShapes(set.layout, 1, q.kernel[1])[1][0];
      Object.keys(set.backends).forEach(function (name) {
        if (q.available && q.available.indexOf(name) < 0) return;
        if (table.backends[name].family === "separable" && !q.separable) return;
        // of several numbers of threads the largest, but rather one whose grid the question lies in
        if (inside[name] || (found[name] && place.outside)) return;
        var one = estimate(table, name, set, place, exact, q);
        if (!one) return;
        found[name] = one;
        if (!place.outside) inside[name] = true;
      });
    });
    return Object.keys(found).map(function (name) { return found[name]; });
  }

  function choose(table, question) {
    if (!table || table.format !== FORMAT || table.version !== VERSION) throw new Error("this is no chooser's table");
    var q = asked(question), quantile = table.noise.quantile, found = rank(table, q);
    if (!found.length) found = fromCeilings(table, q);
    if (!found.length) throw new Error("nothing is known of such a problem");
    found.sort(function (x, y) { return x.seconds - y.seconds || (x.backend < y.backend ? -1 : 1); });
    var best = found[0];
    found.forEach(function (one) {
      one.cost = one.seconds / best.seconds - 1;
      var beside = one.how === "measured" && best.how === "measured" && one.threads === best.threads;
      // elsewhere it is interpolation that errs, of which A/A pairs know nothing
      var limit = beside ? quantile * Math.hypot(one.apart, best.apart) : COVERAGE * Math.hypot(one.error, best.error);
      one.tied = one === best || Math.log1p(one.cost) <= limit;
    });
    return {
      backend: best.backend, family: best.family, seconds: best.seconds, low: best.low, high: best.high, how: best.how,
      threads: best.threads, runner_up: found.length > 1 ? found[1].backend : null,
      runner_up_cost: found.length > 1 ? found[1].cost : null,
      ties: found.slice(1).filter(function (one) { return one.tied; }).map(function (one) { return one.backend; }),
      alternatives: found, machine: table.machine
    };
  }

  return { choose: choose, quickSize: quickSize, features: features };
})();

if (typeof module !== "undefined" && module.exports) module.exports = convbenchChooser;
