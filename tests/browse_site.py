"""``python tests/browse_site.py docs/_build/html``: the site as a reader meets it, from disk, in headless Chromium.

Needs Debian's chromium and the package playwright. All links within the site, and their anchors, must lead somewhere,
and questions of newcomers be answered two clicks from the front page. Every page is opened at several widths:
no error of a script, no picture that does not load, nothing that makes the page scroll sideways. Then the search, and
the page that reads digits. ``--pictures FOLDER`` keeps what each page looks like.
"""
import argparse
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

from playwright.sync_api import Page, sync_playwright

WIDTHS = (390, 1200, 1500)                   # of a window, in pixels
MOST_TOLD = 40                               # faults

# what newcomers ask in the issues of other libraries, the page that answers it, and words of the answer
QUESTIONS = {
    "may rows have missing values? (rleiva/mnplib 2)": ("howto/missing-values.html", "TabularClassifier"),
    "are there class weights? (scikit-learn 9113, skorch 673)": ("howto/imbalanced-classes.html", "class_weight"),
    "can I see the validation loss? (scikit-learn 18507)": ("howto/overfitting.html", "validation"),
    "is there dropout? (scikit-learn 6175)": ("howto/overfitting.html", "dropout"),
    "why is the loss NaN? (scikit-learn 29504)": ("howto/loss-does-not-fall.html", "finite"),
    "how do I get the same result again? (xgboost 7458)": ("howto/reproduce.html", "seed"),
    "do threads change the result? (xgboost 523)": ("howto/reproduce.html", "number of threads"),
    "may a category be coded otherwise when I predict? (xgboost 11160)": ("howto/categories.html", "level"),
    "can I learn in pieces? (scikit-learn 6994)": ("howto/memory.html", "train_stream"),
    "how important is a column? (catboost 632)": ("howto/explain.html", "feature_importances_"),
    "can I weight rows? (scikit-learn 25646, skorch 203)": ("howto/custom-loss-and-metrics.html", "sample_weight"),
}

# what readers would type, and a page that is to be among the first five answers
SEARCHED = {"batch size": "howto/batch-size.html", "learning rate": "howto/learning-rate.html",
            "missing values": "howto/missing-values.html", "early stopping": "fastsgd.EarlyStopping",
            "MLPClassifier": "fastsgd.MLPClassifier", "checkpoint": "fastsgd.Checkpoint", "onnx": "howto/onnx.html",
            "quantile": "howto/quantiles.html", "threads": "howto/threads.html", "reproduce": "howto/reproduce.html",
            "class_weight": "howto/imbalanced-classes.html", "Adam": "fastsgd.Adam", "install": "start.html",
            "save model": "howto/save-and-load.html", "dropout": "howto/overfitting.html",
            "pytorch": "tutorials/from_pytorch.html", "windows": "reference/platforms.html"}

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


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("site", type=Path)
    parser.add_argument("--pictures", type=Path, help="keep a picture of every page at each width in this folder")
    options = parser.parse_args()
    site = options.site.resolve()
    pages = sorted(path for path in site.rglob("*.html") if "_modules" not in path.parts)
    read = {path: Links.of(path) for path in site.rglob("*.html")}
    faults = follow(read, site) + ask(read, site)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page()
        page.on("console", lambda message: message.type in ("error", "warning") and faults.append(
            f"{page.url}: {message.text}"))
        page.on("pageerror", lambda error: faults.append(f"{page.url}: {error}"))
        for path in pages:
            faults += look(page, path, options.pictures and options.pictures / path.relative_to(site).with_suffix(""))
        faults += search(page, site) + draw(page, site)
        browser.close()
    links = sum(len(page.links) for page in read.values())
    print(f"{len(pages)} pages at {len(WIDTHS)} widths, {links:,} links, {len(QUESTIONS)} questions, "
          f"{len(SEARCHED)} searches, {len(STROKES)} digits drawn: {len(faults)} faults")
    if faults:
        sys.exit("\n".join(faults[:MOST_TOLD]))


class Links(HTMLParser):
    """What a page leads to within the site, the anchors it has, and its text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path, self.links, self.anchors, self.text = path, set[tuple[Path, str]](), {""}, ""

    @classmethod
    def of(cls, path: Path) -> "Links":
        found = cls(path)
        found.feed(path.read_text(encoding="utf-8"))
        return found

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        has = dict(attributes)
        self.anchors |= {has[name] or "" for name in ("id", "name") if name in has}
        link = has.get("href") or ""
        if tag == "a" and not urlsplit(link).scheme:
            target, anchor = urldefrag(link)
            self.links.add(((self.path.parent / unquote(target)).resolve() if target else self.path, unquote(anchor)))

    def handle_data(self, data: str) -> None:
        self.text += data


def follow(read: dict[Path, Links], site: Path) -> list[str]:
    faults = []
    for path, page in read.items():
        for target, anchor in sorted(page.links):
            if not target.exists():
                faults.append(f"{path.relative_to(site)}: there is no {target}")
            elif target in read and anchor not in read[target].anchors:
                faults.append(f"{path.relative_to(site)}: {target.relative_to(site)} has no anchor {anchor!r}")
    return faults


def ask(read: dict[Path, Links], site: Path) -> list[str]:
    front = site / "index.html"
    one = {target for target, _ in read[front].links}
    two = one | {target for page in one if page in read for target, _ in read[page].links}
    return [f"{question}: {answer} is not two clicks from the front page, or says nothing of {words!r}"
            for question, (answer, words) in QUESTIONS.items()
            if site / answer not in two or words not in read[site / answer].text]


def look(page: Page, path: Path, picture: Path | None) -> list[str]:
    faults = []
    page.goto(path.as_uri())
    page.evaluate("document.querySelectorAll('img').forEach(image => image.loading = 'eager')")
    page.wait_for_function("[...document.images].every(image => image.complete)")
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        wide, has = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        if wide > has:
            faults.append(f"{path}: {wide} pixels wide where {has} are there")
        if picture:
            page.screenshot(path=f"{picture}-{width}.png", full_page=True)
    faults += [f"{path}: {source} does not load" for source in page.evaluate(
        "[...document.images].filter(image => !image.naturalWidth).map(image => image.src)")]
    return faults


def search(page: Page, site: Path) -> list[str]:
    faults = []
    for words, wanted in SEARCHED.items():
        page.goto(f"{(site / 'search.html').as_uri()}?q={words.replace(' ', '+')}")
        page.wait_for_selector("#search-results ul.search li a")
        page.wait_for_timeout(500)
        found = page.eval_on_selector_all("#search-results ul.search li > a", "links => links.map(a => a.href)")[:5]
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
    main()
