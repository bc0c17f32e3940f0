"""asv's own pages after they were mended: no network, no error on the console, and a way to the answer."""

from __future__ import annotations

import importlib.resources
import json
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from convbench.errors import ConvbenchError
from convbench.report.asv_pages import VENDOR, mend

OWN = Path(__file__).resolve().parents[2] / "reports" / "asv"
TAB = "Which one should I use?"


def published(folder: Path) -> Path:
    """What `asv publish` writes: its pages from the package, the figures of this project's own results."""
    if not (OWN / "offline-data.js").is_file():
        pytest.skip("reports/asv is not there: `convbench report` makes it")
    shutil.copytree(OWN, folder / "asv", ignore=shutil.ignore_patterns("*.html", "*.js", "vendor"))
    shutil.copytree(str(importlib.resources.files("asv") / "www"), folder / "asv", dirs_exist_ok=True)
    script = (OWN / "offline-data.js").read_text(encoding="utf-8")
    for name, content in json.loads(script.removeprefix("window.asvFiles =").strip().removesuffix(";")).items():
        path = folder / "asv" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content), encoding="utf-8")
    (folder / "index.html").write_text("<title>the answer</title>")
    return folder / "asv"


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = published(tmp_path_factory.mktemp("reports with space"))
    mend(folder)
    assert not list(folder.rglob("*.json"))  # all in one script
    return folder


def test_nothing_is_loaded_from_elsewhere(pages: Path) -> None:
    page = (pages / "index.html").read_text(encoding="utf-8")
    assert not re.search(r'<(script|link|img)\b[^>]*\b(src|href)="(https?:)?//', page)
    for name in re.findall(r'<(?:script|link)\b[^>]*\b(?:src|href)="([^"]+)"', page):
        assert (pages / name).is_file(), name
    assert f'<a href="../index.html">{TAB}</a>' in page


def test_copies_come_with_their_licences(pages: Path) -> None:
    told = (pages / "vendor" / "LICENSES.md").read_text(encoding="utf-8")
    for path in VENDOR.glob("*.*s"):
        assert (pages / "vendor" / path.name).read_bytes() == path.read_bytes()
        assert path.name in told or f".{path.name.split('.')[-2]}" in told


def test_pages_of_another_asv_are_refused(tmp_path: Path) -> None:
    for spoiled in ("nav-li-regressions", "jquery.flot.min.js", "jquery-3.3.1"):
        folder = published(tmp_path / spoiled)
        page = folder / "index.html"
        page.write_text(page.read_text(encoding="utf-8").replace(spoiled, "other"), encoding="utf-8")
        with pytest.raises(ConvbenchError, match=r"not those of asv 0\.6\.6"):
            mend(folder)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed: pip install selenium")
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    driver = shutil.which("chromedriver")
    if not program or not driver:
        pytest.skip("no Chromium with a driver: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1200,900"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    running = webdriver.Chrome(service=webdriver.ChromeService(driver), options=options)
    yield running
    running.quit()


def wait_for(browser: Any, script: str) -> None:
    end = time.monotonic() + 30
    while not browser.execute_script(f"return {script};"):
        assert time.monotonic() < end, script
        time.sleep(0.1)


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("view", "shown"),
    [
        ("#/", "$('#summarygrid-display .benchmark-container, #summarygrid-display canvas').length > 0"),
        ("#/summarylist", "$('#summarylist-body table').length > 0"),
        ("#/regressions", "$('#regressions-body').text().length > 0"),
        ("#image.Image.time_execute", "$('#main-graph canvas').length > 0"),
    ],
)
def test_every_view_works_from_a_folder(browser: Any, pages: Path, view: str, shown: str) -> None:
    browser.get("about:blank")
    browser.get(pages.as_uri() + "/index.html" + view)
    wait_for(browser, shown)
    assert browser.get_log("browser") == []
    loaded = browser.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert [name for name in loaded if not name.startswith(("file:", "data:", "blob:"))] == []


@pytest.mark.timeout(180)
def test_the_tab_leads_to_the_answer(browser: Any, pages: Path) -> None:
    browser.get(pages.as_uri() + "/index.html#/summarylist")
    wait_for(browser, "$('#summarylist-body table').length > 0")
    browser.find_element("link text", TAB).click()
    wait_for(browser, "document.title === 'the answer'")
    assert browser.current_url == pages.parent.as_uri() + "/index.html"
