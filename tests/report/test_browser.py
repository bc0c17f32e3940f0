"""The site in a browser, opened from a folder: what its scripts do, and how it looks."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import shutil
import struct
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import synthetic
from synthetic import ENV, Model, cell_record, write_results

from convbench.analysis.recommend import Chooser, Question
from convbench.analysis.table import read_results
from convbench.report import build_report, machine_page, overview, words

DRIVER, BROWSERS = "/usr/bin/chromedriver", ("chromium", "chromium-browser", "google-chrome")
webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed: pip install selenium")
browser_path = next((path for name in BROWSERS if (path := shutil.which(name))), None)
pytestmark = [
    pytest.mark.skipif(browser_path is None, reason="no Chromium: apt-get install chromium"),
    pytest.mark.skipif(not Path(DRIVER).exists(), reason="no chromedriver: apt-get install chromium-driver"),
    pytest.mark.timeout(180),
]

EVIL = "<script>alert('x')</script>&\"{{ 7*7 }}"
MODELS = {
    "direct-a": Model("direct", lambda n, k: 2e-11 * n * n * k * k + 2e-6, lambda n, k: 1e-2),
    "direct-b": Model("direct", lambda n, k: 2.01e-11 * n * n * k * k + 2e-6, lambda n, k: 1e-5),
    "sep-a": Model("separable", lambda n, k: 1e-10 * n * n * k + 1e-9 * n * n, lambda n, k: 3e-3),
    "fft-a": Model("fft", lambda n, k: 7e-9 * n * n * (1 + 0.002 * k) + 2e-5, lambda n, k: 0.2),
    "fft-b": Model("fft", lambda n, k: 9e-9 * n * n + 2e-5, lambda n, k: 1e-3),
    EVIL: Model("framework", lambda n, k: 1e-10 * n * n * k * k + 1e-8 * n * n),
}
KERNELS = (3, 7, 15, 31, 63)
LAB = f"lab-{ENV}"
USUAL = f"{LAB}-image-float32-cpu-1"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of two machines, one with a wicked name, and the site made of them in out/."""
    root = tmp_path_factory.mktemp("site with space")
    shared = {"kernels": KERNELS, "noise": 0.02}
    write_results(root / "results", MODELS, images=(128, 512), commit="a" * 40, date=synthetic.DATE - 10**9, **shared)
    path = write_results(
        root / "results", MODELS, images=(128, 512, 1024), dtypes=("float32", "float64"), threads=(1, 2),
        layouts=("image", "signal"), budget_s=0.9, **shared,
    )  # fmt: skip
    bad = cell_record("image", ("fft-b", 1024, 101, "float32", "cpu", 1), "fft", "failed", reason=EVIL)
    with path.with_suffix(".evidence.jsonl").open("a") as file:
        file.write(json.dumps(bad) + "\n")
    write_results(root / "evil", MODELS, images=(256,), machine="evil", **shared)
    machine = root / "evil" / "evil" / "machine.json"
    machine.write_text(json.dumps({**json.loads(machine.read_text()), "machine": EVIL}))
    shutil.move(root / "evil" / "evil", root / "results" / "evil")
    profiles = root / "out" / "profiles"
    profiles.mkdir(parents=True)
    problem = {
        "image_shape": [512, 512],
        "kernel_shape": [31, 31],
        "dtype": "float32",
        "mode": "same",
        "device": "cpu",
        "threads": 1,
    }
    (profiles / "fft a.json").write_text(
        json.dumps({"profiles": [{"machine": "lab", "backend": "fft-a", "problem": problem}]})
    )
    (profiles / "fft a.html").write_text("<title>a profile</title>")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine_page, "FIGURES", 8)  # so that panels are left to the script
        build_report(root / "results", root / "out")
    return root


@pytest.fixture(scope="module")
def driver() -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = browser_path
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--window-size=1280,1000",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(executable_path=DRIVER)
    with webdriver.Chrome(options=options, service=service) as found:
        found.set_script_timeout(20)
        yield found


class Site:
    """The site in the browser."""

    def __init__(self, driver: Any, out: Path) -> None:
        self.driver, self.out = driver, out

    def open(self, page: str, state: str = "") -> None:
        """A page afresh, ready and with its data loaded."""
        self.driver.get("about:blank")
        self.driver.get(f"{(self.out / page).as_uri()}{'#' + state if state else ''}")
        self.settle()

    def settle(self) -> None:
        """Wait until scripts have loaded what they wanted."""
        self.later("""
            const done = arguments[0], quiet = () => new Promise(r => setTimeout(r, 30));
            const left = () => [...document.querySelectorAll('script[src^="data/"]')].filter(
                s => !(decodeURIComponent(s.getAttribute('src').slice(5, -3)) in (window.convbenchData ?? {})));
            (async () => { await quiet(); for (let i = 0; i < 100 && left().length; i++) await quiet(); await quiet(); done(); })();
        """)

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def later(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_async_script(script, *arguments)

    def text(self, selector: str) -> str:
        found = self.run("return document.querySelector(arguments[0])?.innerText ?? ''", selector)
        return re.sub(r"[\s\u00a0]+", " ", found).strip()

    def column(self, selector: str, number: int) -> list[str]:
        """The texts of the visible cells in a column of a table."""
        script = """return [...document.querySelector(arguments[0]).tBodies[0].rows].filter(r => !r.hidden)
            .map(r => r.cells[arguments[1]].innerText.trim())"""
        return list(self.run(script, selector, number))

    def set(self, selector: str, value: str | bool) -> None:
        self.run(
            """const [selector, value] = arguments, found = document.querySelector(selector);
            if (typeof value === "boolean") found.checked = value; else found.value = value;
            found.dispatchEvent(new Event("input", {bubbles: true}));
            found.dispatchEvent(new Event("change", {bubbles: true}));""",
            selector, value,
        )  # fmt: skip
        self.settle()

    def errors(self) -> list[str]:
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]

    @contextlib.contextmanager
    def phone(self) -> Iterator[None]:
        metrics = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        try:
            yield
        finally:
            self.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.fixture
def site(driver: Any, folder: Path) -> Iterator[Site]:
    found = Site(driver, folder / "out")
    found.errors()
    yield found
    assert found.errors() == []


CELL = f"machine={LAB}&layout=image&image=1024&kernel=31&dtype=float32&device=cpu&threads=1&backend=fft-a"


def pages(out: Path) -> list[str]:
    return sorted(p.name for p in out.glob("*.html"))


def test_every_page_opens_without_an_error_and_every_link_holds(site: Site) -> None:
    anchors: dict[str, set[str]] = {}
    links: set[tuple[str, str]] = set()
    for page in pages(site.out):
        site.open(page)
        assert site.errors() == [], page
        assert site.run("return document.title") not in ("", None)
        anchors[page] = set(site.run("return [...document.querySelectorAll('[id]')].map(e => e.id)"))
        found = site.run("return [...document.querySelectorAll('a')].map(a => a.href)")
        assert "" not in found, page  # every link leads somewhere
        links |= {(page, href) for href in found}
    assert len(links) > 100
    for page, href in links:
        assert href.startswith("file://"), (page, href)
        path, _, hash_ = href.partition("#")
        target = Path(urllib.parse.unquote(urllib.parse.urlsplit(path).path))
        assert target.is_file(), (page, href)
        assert target.is_relative_to(site.out)
        section = hash_.partition("?")[0]
        if target.suffix == ".html" and section and "=" not in section:
            assert section in anchors[target.name], (page, href)


def test_the_cells_that_the_overview_links_are_there(site: Site) -> None:
    site.open("index.html")
    links = site.run("return [...document.querySelectorAll('.maps td a')].map(a => a.getAttribute('href'))")
    assert len(links) >= 30
    for link in links[:: len(links) // 4]:
        wanted = dict(urllib.parse.parse_qsl(link.partition("#")[2]))
        site.open("cell.html", link.partition("#")[2])
        assert f"{wanted['kernel']} × {wanted['kernel']} kernel" in site.text("h1")
        assert site.text("#backend h2") == wanted["backend"]


QUESTIONS = [
    Question((1024, 1024), (31, 31)),
    Question((1024, 1024), (31, 31), separable=True),
    Question((512, 512), (3, 3)),
    Question((1024, 1024), (15, 15), images=1),
    Question((1024, 1024), (15, 15), images=1000),
    Question((700, 700), (20, 20)),
    Question((700, 300), (9, 21), separable=True, images=10),
    Question((4096, 4096), (101, 101)),
    Question((1024, 1024), (7, 7), dtype="float64"),
    Question((512, 512), (63, 63), threads=2),
    Question((512,), (31,)),
    Question((20000,), (5,), images=3),
    Question((512, 512), (1, 31)),
]


def question_state(question: Question) -> str:
    known = {"image": "x".join(map(str, question.image)), "kernel": "x".join(map(str, question.kernel))}
    known |= {"dtype": question.dtype, "threads": str(question.threads)}
    known |= {"separable": "1"} if question.separable else {}
    known |= {"images": str(question.images)} if question.images else {}
    return urllib.parse.urlencode({"machine": LAB, **known})


def test_the_chooser_answers_as_recommend_does(site: Site) -> None:
    table = json.loads((site.out / f"chooser-{LAB}.json").read_text())
    chooser = Chooser(table)
    seen = set()
    site.open("index.html")
    for question in QUESTIONS:
        ranked = chooser.rank(question)
        state = question_state(question)
        site.run("location.hash = arguments[0]", "#" + state)
        site.settle()
        told = site.text("#choice")
        if not ranked:  # no such set: the model of the ceilings answers
            assert "modelled" in told
            continue
        best = ranked[0]
        seen.add(best.backend)
        assert f"Use {best.backend} ({best.family}): {words.seconds(best.seconds)}" in told, question
        assert f"95 % interval {words.seconds_between(best.low, best.high)} · {best.how}" in told, question
        ties = [e.backend for e in ranked[1:] if e.tied]
        if ties:
            assert f"A tie with {', '.join(ties)}:" in told, question
        else:
            assert f"The runner-up, {ranked[1].backend}," in told
            assert words.cost(ranked[1].cost) in told
        assert f"--image {'x'.join(map(str, question.image))} --kernel" in told
        for one in ranked[:6]:
            assert words.seconds(one.seconds) in told
    assert len(seen) >= 3


def test_the_chooser_keeps_its_question_in_the_address(site: Site) -> None:
    site.open("index.html")
    site.set("[name=kernel_h]", "7")
    site.set("[name=kernel_w]", "9")
    site.set("[name=separable]", True)
    site.set("[name=images]", "12")
    site.later("setTimeout(arguments[0], 250)")
    state = site.run("return location.hash.slice(1)")
    told = site.text("#choice")
    site.open("index.html", state)
    assert site.text("#choice") == told
    assert site.run("return ['kernel_h', 'kernel_w', 'images'].map(n => document.getElementById('chooser').elements[n].value)") == ["7", "9", "12"]  # fmt: skip
    # the map beside it is that for separable kernels, with the nearest cell marked
    kinds = site.run(
        "return [...document.querySelectorAll('.place:not([hidden]) figure[data-kind]')].map(f => [f.dataset.kind, f.hidden])"
    )
    assert dict(kinds) == {"any": True, "separable": False}
    assert (
        site.run("return document.querySelector('figure:not([hidden]) .asked').parentElement.cells[0].innerText") == "7"
    )
    # a question that cannot be answered says why
    site.set("[name=kernel_w]", "0")
    assert "Kernel Width" in site.text("#choice .warn")


def test_the_chooser_of_another_machine(site: Site) -> None:
    site.open("index.html")
    slug = next(p.stem.removeprefix("machine-") for p in site.out.glob("machine-*.html") if LAB not in p.name)
    site.set("[name=machine]", slug)
    visible = site.run(
        "return [...document.querySelectorAll('.maps .place')].filter(p => !p.hidden).map(p => p.dataset.place)"
    )
    assert visible == [slug]
    assert "Use " in site.text("#choice")


def test_tables_are_filtered_and_sorted_also_by_keyboard(site: Site) -> None:
    from selenium.webdriver.common.keys import Keys

    site.open("index.html")
    site.set("#backends .filters input", "fft a")
    assert site.column("#backends-table", 0) == ["fft-a"]
    site.set("#backends .filters input", "direct")
    assert site.column("#backends-table", 0) == ["direct-a", "direct-b"]
    state = site.run("return location.hash.slice(1)")
    site.open("index.html", state)
    assert site.column("#backends-table", 0) == ["direct-a", "direct-b"]
    site.set("#backends .filters input", "")
    button = site.driver.find_elements("css selector", "#backends-table thead th button")[0]
    button.send_keys(Keys.ENTER)
    first = site.column("#backends-table", 0)
    assert first == sorted(first, key=str.lower)
    button.send_keys(Keys.SPACE)
    assert site.column("#backends-table", 0) == first[::-1]
    assert site.run("return document.querySelector('#backends-table th').getAttribute('aria-sort')") == "descending"
    assert site.run("return document.activeElement.textContent") == "Backend"  # the focus stays
    state = site.run("return location.hash.slice(1)")
    site.open("index.html", state)
    assert site.column("#backends-table", 0) == first[::-1]


def test_the_first_key_leads_to_the_content(site: Site) -> None:
    from selenium.webdriver.common.keys import Keys

    site.open("index.html")
    site.driver.find_element("tag name", "body").send_keys(Keys.TAB)
    assert site.run("return document.activeElement.className") == "skip"
    outline = site.run("const s = getComputedStyle(document.activeElement); return [s.outlineStyle, s.left]")
    assert outline == ["solid", "8px"]
    site.driver.switch_to.active_element.send_keys(Keys.ENTER)
    assert site.run("return document.activeElement.id") == "main"


def test_the_table_of_cells_and_its_state(site: Site) -> None:
    page = f"machine-{LAB}.html"
    site.open(page)
    table = "#cells .cell-table table"
    assert len(site.column(table, 0)) == len(MODELS)
    site.set("#cells select[name=kernel]", "7")
    site.set("#cells select[name=backend]", "fft-b")
    assert site.column(table, 0) == ["1024"]
    site.set("#cells select[name=image]", "")
    assert sorted(site.column(table, 0)) == ["1024", "128", "512"]
    heading = next(b for b in site.driver.find_elements("css selector", f"{table} th button") if b.text == "Time")
    site.run("arguments[0].click(); arguments[0].click()", heading)
    times = site.column(table, 0)
    assert times == ["1024", "512", "128"]
    state = site.run("return location.hash.slice(1)")
    site.open(page, state)
    assert site.column(table, 0) == times
    # what failed is there too, with its reason as text
    site.set("#cells select[name=kernel]", "101")
    site.set("#cells select[name=status]", "failed")
    assert EVIL in site.text(table)


def test_a_set_is_chosen_for_the_whole_page(site: Site) -> None:
    page = f"machine-{LAB}.html"
    site.open(page)
    buttons = site.driver.find_elements("css selector", ".setbar button")
    assert len(buttons) == 8
    wanted = next(b for b in buttons if b.text == "Signals, float64, cpu, 2 threads")
    site.run("arguments[0].click()", wanted)
    site.settle()
    shown = site.run(
        "return [...document.querySelectorAll('.set[data-set]')].filter(s => !s.hidden).map(s => s.dataset.set)"
    )
    assert set(shown) == {"signal-float64-cpu-2"}
    assert len(shown) >= 5
    assert "Signals, float64, cpu, 2 threads" in site.text("#cells .shown")
    state = site.run("return location.hash.slice(1)")
    site.open(page, f"regret?{state}")
    assert set(site.run("return [...document.querySelectorAll('.set[data-set]')].filter(s => !s.hidden).map(s => s.dataset.set)")) == set(shown)  # fmt: skip
    # its panels are drawn by the script: a line of every backend, and its crossovers
    drawn = site.run(
        "return [...document.querySelectorAll('[data-set=signal-float64-cpu-2] .lazy svg')].map(s => [s.querySelectorAll('.b').length, s.querySelectorAll('.full, .open').length])"
    )
    assert drawn == [[6, 30]] * 3


def test_the_regret_map(site: Site, folder: Path) -> None:
    from convbench.analysis.noise import UNCALIBRATED
    from convbench.analysis.regret import regret

    site.open(f"machine-{LAB}.html")
    site.set("#regret [name=backend]", "direct-b")
    cells = read_results(folder / "results").cells
    cells = cells[(cells["machine"] == "lab") & (cells["commit"] == "01234567") & (cells["layout"] == "image")]
    cells = cells[(cells["dtype"] == "float32") & (cells["threads"] == 1)]
    rows = regret(cells, UNCALIBRATED, {"separable"})
    rows = rows[(rows["backend"] == "direct-b") & (rows["image"] == 512)].sort_values("kernel")
    wanted = [
        "best" if r.rank == 1 else "tie" if r.tied else f"+{words.percent(r.regret)}" if r.regret < 1 else f"× {words.digits(1 + r.regret, 2)}"
        for r in rows.itertuples()
    ]  # fmt: skip
    script = """return [...document.querySelectorAll('.regret-map tbody tr')].filter(r => r.cells[0].innerText.startsWith('512'))
        .flatMap(r => [...r.cells].slice(1).map(c => c.querySelector('b')?.innerText.replace(/\\u00a0/g, ' ') ?? '–'))"""
    assert site.run(script) == [*wanted, "–"]  # k = 101 was tried at one size only
    assert {"tie", "best"} & set(wanted)
    assert any(text.startswith("×") for text in wanted)
    state = site.run("return location.hash.slice(1)")
    site.open(f"machine-{LAB}.html", state)
    assert site.run(script) == [*wanted, "–"]


def test_the_page_of_a_cell(site: Site, folder: Path) -> None:
    site.open("cell.html", CELL)
    cells = read_results(folder / "results").cells
    own = cells[(cells["machine"] == "lab") & (cells["commit"] == "01234567") & (cells["layout"] == "image")]
    own = own[(own["dtype"] == "float32") & (own["threads"] == 1) & (own["image"] == 1024) & (own["kernel"] == 31)]
    samples = np.array(own[own["backend"] == "fft-a"]["samples"].iloc[0])
    q1, q3 = np.quantile(samples, [0.25, 0.75])
    outliers = int(((samples < q1 - 1.5 * (q3 - q1)) | (samples > q3 + 1.5 * (q3 - q1))).sum())
    row = site.run(
        "return [...document.querySelector('tr.chosen').cells].map(c => c.innerText.replace(/\\u00a0/g, ' '))"
    )
    numbers = [samples.min(), *np.quantile(samples, [0.05, 0.25, 0.75, 0.95])]
    rounded = [float(f"{s:.4g}") for s in numbers]
    told = {words.seconds(float(s)) for s in (*numbers, *rounded)}
    assert set(row[6:11]) <= told
    assert row[1] == "fft-a"
    assert row[11:14] == ["15", str(outliers), "1"]
    assert "1024 × 1024 image, 31 × 31 kernel" in site.text("h1")
    assert site.run("return document.querySelectorAll('#samples .dot, #samples .open').length") == 15 * len(own)
    details = site.text("#backend")
    assert "ok: judged on the very data that was timed" in details
    assert "ab" * 32 in details
    assert "Worst at index 3, 4" in details
    assert "convbench run --preset full --fresh --bench \"image.*'fft-a', 1024, 31, 'float32', 'cpu', 1\"" in details
    assert "problem = convbench.Problem((1024, 1024), (31, 31)" in details
    assert "convbench profile fft-a --image 1024x1024 --kernel 31x31 --dtype float32 Repeat this cell" in details
    assert "Profile of" not in details
    # the history has this cell at one commit only; that of a smaller image has two
    assert "over commits" not in details
    site.open("cell.html", CELL.replace("image=1024", "image=512"))
    assert "Time of fft-a over commits" in site.text("#backend")
    link = "return [...document.querySelectorAll('#backend a')].find(a => a.textContent === 'Profile of fft-a').href"
    assert (
        Path(urllib.parse.unquote(urllib.parse.urlparse(site.run(link)).path)) == site.out / "profiles" / "fft a.html"
    )


def test_the_python_that_repeats_a_cell_runs(site: Site) -> None:
    site.open(
        "cell.html", f"machine={LAB}&layout=image&image=128&kernel=3&dtype=float32&device=cpu&threads=1&backend=fft-a"
    )
    source = site.run("return [...document.querySelectorAll('#backend pre')].at(-1).innerText")
    compiled = source.replace("fft-a", "scipy-fft")
    exec(compile(compiled, "cell.html", "exec"), {})


def test_names_from_results_stay_text(site: Site) -> None:
    evil = next(p.name for p in site.out.glob("machine-*.html") if LAB not in p.name)
    backend = next(p.name for p in site.out.glob("backend-script*.html"))
    site.open(evil)
    assert site.text("h1") == EVIL
    site.open(backend)
    assert site.text("h1") == EVIL
    assert EVIL in site.text(".regret-map figcaption")
    slug = evil.removeprefix("machine-").removesuffix(".html")
    site.open("cell.html", f"machine={slug}&kernel=7&backend={urllib.parse.quote(EVIL)}")
    assert EVIL in site.text("#backend h2")
    assert EVIL in site.text(".sub")
    site.open("index.html", f"machine={slug}")
    assert EVIL in site.text("#backends-table")
    for page in (evil, backend, "cell.html", "index.html"):
        assert "<script>alert" not in (site.out / page).read_text(encoding="utf-8")


# Relative luminance and contrast as in WCAG 2.1; colours are read as the browser paints them.
CONTRAST = """
const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
const seen = new Map();
const parse = text => {
  if (!seen.has(text)) { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = text; canvas.fillRect(0, 0, 1, 1); const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data; seen.set(text, [r, g, b, a / 255]); }
  return seen.get(text);
};
const over = (top, below) => top.slice(0, 3).map((c, i) => c * top[3] + below[i] * (1 - top[3]));
const behind = node => {
  const layers = [];
  for (let n = node; n; n = n.parentElement) { const c = parse(getComputedStyle(n).backgroundColor); if (c[3] > 0) layers.push(c); if (c[3] === 1) break; }
  return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255]);
};
const light = rgb => { const [r, g, b] = rgb.map(c => (c /= 255) <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4); return .2126 * r + .7152 * g + .0722 * b; };
const bad = [];
let checked = 0;
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const node = walker.currentNode, parent = node.parentElement;
  if (!node.data.trim() || !parent.checkVisibility({ opacityProperty: true, visibilityProperty: true }) || parent.closest("script, style, title, .skip, option")) continue;
  const style = getComputedStyle(parent), inSvg = parent instanceof SVGElement;
  let opacity = 1;
  for (let n = parent; n; n = n.parentElement) opacity *= Number(getComputedStyle(n).opacity);
  const below = behind(parent), ink = [...parse(inSvg ? style.fill : style.color)];
  ink[3] *= opacity;
  const [a, b] = [light(over(ink, below)), light(below)], ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
  const size = parseFloat(style.fontSize), large = size >= 24 || size >= 18.66 && Number(style.fontWeight) >= 700;
  checked += 1;
  if (ratio < (large ? 3 : 4.5)) bad.push([node.data.trim().slice(0, 40), parent.tagName + "." + (parent.getAttribute("class") ?? ""), ratio.toFixed(2), style.color]);
}
return [checked, bad.slice(0, 12), getComputedStyle(document.body).backgroundColor];
"""


def test_both_themes_are_legible_and_the_choice_is_kept(site: Site) -> None:
    backgrounds = {}
    for theme in ("light", "dark"):
        site.open("index.html")
        for _ in range(3):
            if site.text("#theme span") != theme:
                site.driver.find_element("id", "theme").click()
        for page, state in (
            ("index.html", ""),
            (f"machine-{LAB}.html", ""),
            ("backend-fft-a.html", ""),
            ("cell.html", CELL),
        ):
            site.open(page, state)
            assert site.text("#theme span") == theme  # kept
            checked, bad, backgrounds[theme] = site.run(CONTRAST)
            assert checked > 60, page
            assert bad == [], (theme, page)
    assert backgrounds["light"] != backgrounds["dark"]
    site.run("localStorage.clear()")


def test_the_contrast_is_really_measured(site: Site) -> None:
    site.open("index.html")
    site.run("document.querySelector('h1').style.color = '#ccc'; document.documentElement.dataset.theme = 'light'")
    assert any("Which convolution" in text for text, *_ in site.run(CONTRAST)[1])


def test_without_a_choice_the_system_s_theme_counts(site: Site) -> None:
    found = []
    for scheme in ("light", "dark"):
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        site.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        site.open("index.html")
        found.append(site.run("return getComputedStyle(document.body).backgroundColor"))
    site.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert found == ["rgb(253, 253, 251)", "rgb(21, 23, 26)"]


@pytest.mark.parametrize("page", ["index.html", f"machine-{LAB}.html", "backend-fft-a.html", "cell.html"])
def test_a_phone_needs_no_sideways_scrolling(site: Site, page: str) -> None:
    with site.phone():
        site.open(page, CELL if page == "cell.html" else "")
        width = site.run("return [document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        assert width == [390, 390]
        # targets are large enough for a finger, at least in one direction
        small = site.run("""return [...document.querySelectorAll('button, select, input')].filter(e => e.offsetParent)
            .map(e => [e.outerHTML.slice(0, 80), e.getBoundingClientRect()]).filter(([, r]) => r.width < 24 && r.height < 24).map(([t]) => t)
            .filter(t => !t.includes('checkbox'))""")
        assert small == []


def png_size(data: bytes) -> tuple[int, int]:
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", data[16:24])


FIGURES = [
    ("index.html", "", ".maps .place:not([hidden]) figure:not(.map)"),
    ("index.html", "", ".maps .place:not([hidden]) figure.map:not([hidden])"),
    (f"machine-{LAB}.html", "", "#time .set:not([hidden]) figure"),
    (f"machine-{LAB}.html", "set=signal-float64-cpu-2", "#time .set:not([hidden]) figure.lazy"),
    (f"machine-{LAB}.html", "", ".regret-map figure"),
    ("cell.html", CELL, "#samples figure"),
]


def test_figures_are_saved_as_svg_and_png(site: Site) -> None:
    for page, state, selector in FIGURES:
        site.open(page, state)
        buttons = site.run("return [...document.querySelector(arguments[0]).querySelectorAll('.save button')].map(b => b.innerText)", selector)  # fmt: skip
        assert buttons == ["SVG", "PNG"], selector
        text = site.run("return convbench.svgOf(document.querySelector(arguments[0]))", selector)
        root = ElementTree.fromstring(text)
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert "var(" not in text  # the page's colours are resolved: the file stands alone
        assert len(list(root.iter("{http://www.w3.org/2000/svg}text"))) > 4
        found = site.later(
            """const done = arguments[1];
            convbench.pngOf(document.querySelector(arguments[0])).then(blob => {
              const reader = new FileReader(); reader.onload = () => done(reader.result); reader.readAsDataURL(blob);
            }, error => done(String(error)));""",
            selector,
        )  # fmt: skip
        head, _, body = found.partition(",")
        assert head == "data:image/png;base64", found[:80]
        data = base64.b64decode(body)
        assert png_size(data) == (2 * round(float(root.get("width"))), 2 * round(float(root.get("height")))) or all(
            abs(a - 2 * float(b)) <= 2 for a, b in zip(png_size(data), (root.get("width"), root.get("height")), strict=True)
        )  # fmt: skip
        assert len(data) > 3000  # not an empty sheet


def test_permalinks_keep_the_state(site: Site) -> None:
    site.open(f"machine-{LAB}.html", "set=signal-float32-cpu-1")
    site.run("document.querySelector('#crossovers h2 .anchor').click()")
    assert site.run("return location.hash") == "#crossovers?set=signal-float32-cpu-1"
    state = site.run("return location.hash.slice(1)")
    site.open(f"machine-{LAB}.html", state)
    site.later("setTimeout(arguments[0], 200)")
    top = site.run("return document.getElementById('crossovers').getBoundingClientRect().top")
    assert -5 <= top <= 120


def test_a_table_that_is_not_in_the_page_is_loaded(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overview, "TABLE_BYTES", 1)
    write_results(tmp_path / "results", {name: MODELS[name] for name in ("direct-a", "fft-a")}, kernels=(3, 31))
    build_report(tmp_path / "results", tmp_path / "out")
    other = Site(site.driver, tmp_path / "out")
    other.open("index.html")
    assert other.run("return document.getElementById('tables').textContent") == "{}"
    assert other.text("#choice").startswith("Use fft-a")


def test_a_site_without_any_measurement_opens(site: Site, tmp_path: Path) -> None:
    write_results(tmp_path / "results", {"direct-a": MODELS["direct-a"]}, kernels=(3, 31), evidence=False)
    build_report(tmp_path / "results", tmp_path / "out")
    other = Site(site.driver, tmp_path / "out")
    for page in pages(other.out):
        other.open(page)
        assert other.errors() == [], page
    other.open("cell.html")
    assert "a time without evidence that the output was right" in other.text("#ranking")


def test_a_missing_file_is_told(site: Site, folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "out", tmp_path / "out")
    (tmp_path / "out" / "data" / f"{USUAL}.js").unlink()
    other = Site(site.driver, tmp_path / "out")
    other.driver.get("about:blank")
    other.driver.get(f"{(tmp_path / 'out' / 'cell.html').as_uri()}#{CELL}")
    other.later("setTimeout(arguments[0], 300)")
    assert f"data/{USUAL}.js is missing: run convbench report again" in other.text("#cell")
    assert len(other.errors()) == 1  # the browser says so, too
