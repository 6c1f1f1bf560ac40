"""Pages of the repository that lie outside docs/, as pages of the site, and links that lead out of docs/.

A link to a page in ``outside_pages`` becomes one to its copy; a link to another file of the repository becomes the
file's name, as the site does not hold it.
"""
import posixpath
import re
from pathlib import Path

import kept

LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)\s]+)\)")
PICTURE = re.compile(r"(!\[[^\]]*\]\()([^)\s]+)\)")


def setup(app):
    app.add_config_value("outside_pages", {}, "env")
    app.connect("builder-inited", copy_pages)
    app.connect("source-read", lead_links)
    return {"parallel_read_safe": True}


def copy_pages(app):
    root = Path(app.srcdir).parent
    for source, page in app.config.outside_pages.items():
        text = with_links((root / source).read_text(encoding="utf-8"), source, f"docs/{page}", app)
        kept.write(Path(app.srcdir, page), text)


def lead_links(app, docname, source):
    page = f"{docname}.md"
    if page not in app.config.outside_pages.values() and Path(app.srcdir, page).exists():
        source[0] = with_links(source[0], f"docs/{page}", f"docs/{page}", app)


def with_links(text, home, page, app):
    """The text of a file whose path is ``home``, to be read at ``page``, both from the root of the repository."""
    places = {source: f"docs/{copy}" for source, copy in app.config.outside_pages.items()}
    root = Path(app.srcdir).parent

    def target_of(link):
        path, hash_, anchor = link.partition("#")
        path = posixpath.normpath(posixpath.join(posixpath.dirname(home), path))
        if path == "README.md":
            path = "docs/index.md"
        if found := re.fullmatch(r"examples/(tutorials|gallery)/(\w+)\.(py|rst)", path):      # sphinx-gallery's pages
            path = f"docs/{found[1]}/{found[2].replace('README', 'index')}.rst"
        return places.get(path, path), hash_ + anchor

    def relative(path):
        return posixpath.relpath(path, posixpath.dirname(page))

    def link(found):
        words, there = found.groups()
        if re.match(r"\w+:|#", there):
            return found[0]
        path, anchor = target_of(there)
        if path.startswith("docs/"):
            return f"[{words}]({relative(path)}{anchor})"
        return words if "`" in words or not (root / path).is_file() else f"{words} (`{path}`)"

    def picture(found):
        return found[0] if re.match(r"\w+:", found[2]) else f"{found[1]}{relative(target_of(found[2])[0])})"

    pieces = re.split(r"(^```.*?^```)", text, flags=re.M | re.S)       # code is left as it is
    return "".join(piece if piece.startswith("```") else PICTURE.sub(picture, LINK.sub(link, piece))
                   for piece in pieces)
