"""The documents as pages: Markdown to HTML, in the site's own dress.

No HTML passes through, and a link leads to the web, to another page, or nowhere.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token

# The documents for users and operators, by file name.
DOCUMENTS: Final[dict[str, str]] = {
    "methodology": "Methodology",
    "evidence": "Evidence",
    "routing": "Routing",
    "proof": "Proof",
    "classifier": "Classifier",
    "labelling": "Labelling guide",
    "usage": "Usage",
    "budgets": "Budgets",
    "api": "API",
    "results-format": "Results format",
    "operating": "Operating",
}

SCROLLING = '<div class="table-scroll" tabindex="0" role="region" aria-label="Table">'


def read_document(text: str, addresses: Mapping[str, str]) -> str:
    """Return Markdown as HTML. `addresses` says where the files that it may link to are shown.

    A link to any other file of the repository becomes plain text; one to the web stays.
    """
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse(text)
    for place, token in enumerate(tokens):
        if token.type == "heading_open":
            token.attrSet("id", anchor(tokens[place + 1]))
        elif token.type == "table_open":
            token.attrSet("class", "table")
        elif token.type == "th_open":
            token.attrSet("scope", "col")
        elif token.type == "inline":
            token.children = with_addresses(token.children or [], addresses)
    html = str(markdown.renderer.render(tokens, markdown.options, {}))
    return (
        html.replace('<table class="table">', SCROLLING + '<table class="table">')
        .replace("</table>", "</table></div>")
        .replace("<pre><code", '<div class="code"><pre tabindex="0"><code')
        .replace("</code></pre>", "</code></pre></div>")
    )


def with_addresses(parts: Sequence[Token], addresses: Mapping[str, str]) -> list[Token]:
    """Return a line's parts with its links led to where they are shown, or left out."""
    kept: list[Token] = []
    dropped: list[bool] = []
    for part in parts:
        if part.type == "link_open":
            address = address_of(str(part.attrGet("href")), addresses)
            dropped.append(address is None)
            if address is None:
                continue
            part.attrSet("href", address)
        elif part.type == "link_close" and dropped.pop():
            continue
        kept.append(part)
    return kept


def address_of(link: str, addresses: Mapping[str, str]) -> str | None:
    """Return where a link leads on the site, None when it leads nowhere there."""
    if link.startswith(("#", "https://", "http://")):
        return link
    path, mark, fragment = link.partition("#")
    return f"{addresses[path]}{mark}{fragment}" if path in addresses else None


def anchor(title: Token) -> str:
    """Return the id of a heading, as Markdown viewers make it."""
    text = "".join(part.content for part in title.children or [])
    return re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
