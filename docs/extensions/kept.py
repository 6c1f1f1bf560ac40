"""Pages that are made are written where they changed, as Sphinx reads those again that are newer than before."""


def write(page, text):
    page.parent.mkdir(exist_ok=True)
    if not page.exists() or page.read_text(encoding="utf-8") != text:
        page.write_text(text, encoding="utf-8")
