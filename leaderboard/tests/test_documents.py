"""The documents as pages."""

import re
from html import unescape
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client

from leaderboard.documents import DOCUMENTS, read_document

ADDRESSES = {"routing.md": "/docs/routing/"}


def test_every_part_of_the_documents_language() -> None:
    text = """# A `b` title

One line
and *two* with **bold `code`** and [a link](routing.md#modes).

- first
  goes on
- second

1. one

| head | other |
|---|---|
| a \\| b | `x` |

```sh
echo "<b>" # *not italic*
```
"""
    assert read_document(text, ADDRESSES).split("\n", 1)[0] == (
        '<h1 id="a-b-title">A <code>b</code> title</h1>'
    )
    html = read_document(text, ADDRESSES)
    for part in (
        "<p>One line\nand <em>two</em> with <strong>bold <code>code</code></strong> and "
        '<a href="/docs/routing/#modes">a link</a>.</p>',
        "<li>first\ngoes on</li>\n<li>second</li>\n</ul>",
        "<ol>\n<li>one</li>\n</ol>",
        "<td>a | b</td>\n<td><code>x</code></td>",
        "echo &quot;&lt;b&gt;&quot; # *not italic*",
    ):
        assert part in html


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "# <script>",
        "- <script>",
        "| <script> |\n|---|\n| <script> |",
        "`<script>`",
        "[<script>](https://example.org/<script>)",
        "**<script>** *<script>*",
        "```\n<script>\n```",
    ],
)
def test_no_html_passes_through(text: str) -> None:
    assert "<script>" not in read_document(text, {})


def test_a_link_leads_to_the_web_or_to_a_page_or_nowhere() -> None:
    html = read_document("[a](javascript:alert(1) [b](../secret.md) [c](https://x.org) [d](#e)", {})

    assert re.findall(r'href="([^"]*)"', html) == ["https://x.org", "#e"]


@pytest.mark.parametrize("name", DOCUMENTS)
@pytest.mark.django_db
def test_every_document_is_shown_whole(client: Client, name: str) -> None:
    address = "/methodology/" if name == "methodology" else f"/docs/{name}/"
    response = client.get(address)
    assert response.status_code == 200
    article = response.content.decode().split('<article class="prose">')[1].split("</article>")[0]

    text = Path(settings.BASE_DIR, "docs", f"{name}.md").read_text(encoding="utf-8")
    outside_code = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    for title in re.findall(r"^#+ (.+)$", outside_code, re.MULTILINE):
        anchor = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        assert f'id="{anchor}"' in article
    plain = unescape(re.sub(r"<[^>]+>", "", article))
    for word in re.findall(r"\w{4,}", re.sub(r"\]\([^)]*\)|```\w*", "", text)):
        assert word in plain
    leftover = re.sub(r"<code[^>]*>.*?</code>", "", article, flags=re.DOTALL)
    assert not re.search(r"\*\*|`|\]\(|^\|", leftover, re.MULTILINE)
    for fragment in re.findall(r'href="#([^"]+)"', article):
        assert f'id="{fragment}"' in article


@pytest.mark.django_db
def test_links_between_documents_reach_them(client: Client) -> None:
    html = client.get("/docs/api/").content.decode()

    links = set(re.findall(r'href="(/(?:docs|methodology)[^"#]*)', html))
    assert "/methodology/" in links
    assert {client.get(link).status_code for link in links} == {200}


@pytest.mark.parametrize("name", ["nothing", "openapi", "decisions", "README"])
@pytest.mark.django_db
def test_no_other_file_is_shown(client: Client, name: str) -> None:
    assert client.get(f"/docs/{name}/").status_code == 404


@pytest.mark.django_db
def test_the_board_and_the_footer_lead_to_the_methodology(client: Client) -> None:
    assert client.get("/leaderboard/").content.decode().count('href="/methodology/"') == 2
