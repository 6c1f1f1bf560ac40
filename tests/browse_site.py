"""``python tests/browse_site.py docs/_build/html``: the site as a reader meets it, from disk, in headless Chromium.

Needs Debian's chromium and the package playwright. Every page is opened at 390 and at 1,200 pixels: no error of a
script, no picture that does not load, nothing that makes the page scroll sideways. Then the search, and the page that
reads digits.
"""
import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

# what readers would type, and a page that is to be among the first ten answers
SEARCHED = {"batch size": "howto/batch-size.html", "learning rate": "howto/learning-rate.html",
            "missing values": "howto/missing-values.html", "early stopping": "fastsgd.EarlyStopping",
            "MLPClassifier": "fastsgd.MLPClassifier", "checkpoint": "fastsgd.Checkpoint", "onnx": "howto/onnx.html",
            "quantile": "howto/quantiles.html", "threads": "howto/threads.html", "reproduce": "howto/reproduce.html",
            "class_weight": "gallery/class_imbalance.html", "Adam": "fastsgd.Adam"}

STROKES: dict[int, list[list[tuple[int, int]]]] = {
    0: [[(120, 30), (75, 60), (60, 120), (75, 180), (120, 210), (165, 180), (180, 120), (165, 60), (120, 30)]],
    1: [[(120, 30), (120, 210)]],
    2: [[(65, 80), (80, 45), (120, 30), (165, 50), (170, 90), (130, 140), (65, 205), (180, 205)]],
    3: [[(70, 50), (110, 30), (160, 50), (160, 90), (115, 115), (165, 140), (170, 180), (120, 210), (70, 190)]],
    4: [[(110, 30), (60, 130), (180, 130)], [(150, 80), (150, 210)]],
    5: [[(170, 35), (85, 35), (75, 110), (130, 100), (170, 135), (160, 190), (110, 210), (65, 195)]],
    6: [[(150, 30), (100, 80), (70, 140), (80, 190), (120, 210), (165, 185), (160, 140), (120, 125), (80, 150)]],
    7: [[(60, 40), (180, 40), (110, 210)]],
    8: [[(120, 115), (75, 80), (80, 45), (120, 30), (160, 45), (165, 80), (120, 115), (75, 150), (75, 190), (120, 210),
         (165, 190), (165, 150), (120, 115)]],
    9: [[(165, 80), (120, 110), (80, 80), (90, 40), (130, 30), (165, 50), (168, 80), (150, 150), (130, 210)]],
}


def main(site: Path) -> None:
    pages = sorted(path for path in site.rglob("*.html") if "_modules" not in path.parts)
    faults: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page()
        page.on("console", lambda message: message.type in ("error", "warning") and faults.append(
            f"{page.url}: {message.text}"))
        page.on("pageerror", lambda error: faults.append(f"{page.url}: {error}"))
        for path in pages:
            faults += look(page, path)
        faults += search(page, site) + draw(page, site)
        browser.close()
    print(f"{len(pages)} pages at two widths, {len(SEARCHED)} searches, {len(STROKES)} digits drawn: "
          f"{len(faults)} faults")
    if faults:
        sys.exit("\n".join(faults))


def look(page: Page, path: Path) -> list[str]:
    faults = []
    for width in (390, 1200):
        page.set_viewport_size({"width": width, "height": 800})
        page.goto(path.as_uri())
        wide, has = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        if wide > has:
            faults.append(f"{path}: {wide} pixels wide where {has} are there")
    page.evaluate("document.querySelectorAll('img').forEach(image => image.loading = 'eager')")
    page.wait_for_function("[...document.images].every(image => image.complete)")
    faults += [f"{path}: {source} does not load" for source in page.evaluate(
        "[...document.images].filter(image => !image.naturalWidth).map(image => image.src)")]
    return faults


def search(page: Page, site: Path) -> list[str]:
    faults = []
    for words, wanted in SEARCHED.items():
        page.goto(f"{(site / 'search.html').as_uri()}?q={words.replace(' ', '+')}")
        page.wait_for_selector("#search-results ul.search li a")
        page.wait_for_timeout(500)
        found = page.eval_on_selector_all("#search-results ul.search li > a", "links => links.map(a => a.href)")[:10]
        if not any(wanted in link for link in found):
            faults.append(f"search for {words!r}: {wanted} is not among {[Path(link).name for link in found]}")
    return faults


def draw(page: Page, site: Path) -> list[str]:
    faults = []
    page.goto((site / "draw.html").as_uri())
    page.wait_for_selector("#draw[data-ready]", timeout=120_000)
    for digit, strokes in STROKES.items():
        page.click("#clear")
        box = page.locator("#draw").bounding_box()
        assert box
        for first, *others in strokes:
            page.mouse.move(box["x"] + first[0], box["y"] + first[1])
            page.mouse.down()
            for x, y in others:
                page.mouse.move(box["x"] + x, box["y"] + y, steps=6)
            page.mouse.up()
        page.wait_for_selector("#answer[data-digit]")
        if (answer := page.get_attribute("#answer", "data-digit")) != str(digit):
            faults.append(f"a drawn {digit} is read as {answer}")
    return faults


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
