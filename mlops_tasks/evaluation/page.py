"""What every page has in common: the shell, the type, tables, and one rule about escaping.

The rule: a `str` is text and is escaped, an `Html` is markup and is not. Labels come from data, so
whoever writes `Html(...)` vouches for what is inside. Nothing here knows models or metrics.
"""

from collections.abc import Collection, Iterable, Sequence
from html import escape


class Html(str):
    """Markup that is finished: everything in it that came from data has been escaped."""

    __slots__ = ()


def safe(content: object) -> Html:
    """Markup as it is, anything else as escaped text."""
    return content if isinstance(content, Html) else Html(escape(str(content)))


def element(tag: str, *content: object, kind: str = "") -> Html:
    """One element around text or markup; `kind` is its CSS class."""
    opening = f'<{tag} class="{escape(kind)}">' if kind else f"<{tag}>"
    return Html(f"{opening}{''.join(map(safe, content))}</{tag}>")


def note(text: str) -> Html:
    """Paragraph that explains or qualifies what stands beside it."""
    return element("p", text, kind="note")


def code(value: object) -> Html:
    """Digest, revision or setting, to be copied; "none" where it is empty."""
    return element("code", value) if value else Html("none")


def section(heading: str, *content: object) -> Html:
    """Part of a page under its own heading."""
    return element("section", element("h2", heading), *content)


def table(
    header: Sequence[str], rows: Iterable[Sequence[object]], numbers: Collection[str] = ()
) -> Html:
    """Table that scrolls sideways where it does not fit.

    Parameters
    ----------
    header
        Names of the columns.
    rows
        Cells, text or markup. The first of each row names the row.
    numbers
        Names of the columns to set flush right.
    """
    kinds = ["number" if name in numbers else "" for name in header]
    head = [
        f'<th scope="col" class="{kind}">{safe(name)}</th>'
        for name, kind in zip(header, kinds, strict=True)
    ]
    body = [element("tr", *_cells(row, kinds), Html("\n")) for row in rows]
    return Html(
        '<div class="scroll" tabindex="0"><table>\n'
        f"<thead><tr>{''.join(head)}</tr></thead>\n<tbody>\n{''.join(body)}</tbody></table></div>\n"
    )


def facts(*pairs: tuple[str, object]) -> Html:
    """Table of names and values, without a head."""
    rows = (
        f'<tr><th scope="row">{safe(name)}</th><td>{safe(value)}</td></tr>\n'
        for name, value in pairs
    )
    return Html(
        '<div class="scroll" tabindex="0"><table class="facts"><tbody>\n'
        f"{''.join(rows)}</tbody></table></div>\n"
    )


def render_page(title: str, *content: object, kind: str = "") -> str:
    """Whole page: one file, no script, and a policy that lets the browser fetch nothing.

    `kind` "wide" leaves more room for tables than prose wants.
    """
    body = "\n".join(map(safe, content))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{safe(title)}</title>\n<style>{STYLE}</style>\n</head>\n"
        f'<body>\n<main class="{escape(kind)}">\n{body}\n</main>\n</body>\n</html>\n'
    )


def _cells(row: Sequence[object], kinds: Sequence[str]) -> list[Html]:
    first, *rest = row
    cells = [element("td", cell, kind=kind) for cell, kind in zip(rest, kinds[1:], strict=True)]
    return [Html(f'<th scope="row">{safe(first)}</th>'), *cells]


STYLE = """
:root { color-scheme: light dark; --ink: #1c2127; --muted: #5f6872; --rule: #d9dde2;
  --paper: #fff; --accent: #1f5fa8; --good: #1a7040; --bad: #b3261e; --idle: #98a0a9; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e7eb; --muted: #9aa4af; --rule: #333a42;
  --paper: #14171b; --accent: #7db3f0; --good: #6fcf97; --bad: #ff8a80; --idle: #6b747e; } }
@media print { :root { color-scheme: light; --ink: #000; --muted: #444; --rule: #bbb;
  --paper: #fff; --accent: #1f5fa8; --good: #1a7040; --bad: #b3261e; --idle: #888; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); text-rendering: optimizeLegibility;
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif; }
main { max-width: 50rem; margin: 0 auto; padding: 3rem 1.25rem 5rem; }
main.wide { max-width: 66rem; }
h1 { font-size: 2rem; line-height: 1.2; font-weight: 650; letter-spacing: -0.015em;
  margin: 0.15rem 0 0.5rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; font-weight: 650; margin: 0 0 0.75rem; }
section { margin-top: 2.5rem; padding-top: 1.25rem; border-top: 1px solid var(--rule); }
p { margin: 0 0 0.9rem; max-width: 42rem; overflow-wrap: anywhere; }
p.note, summary { color: var(--muted); font-size: 0.9rem; }
header ul { margin: 0.75rem 0 0; padding-left: 1.2rem; overflow-wrap: anywhere; }
header.accepted, header.refused { border-left: 4px solid; padding-left: 1.25rem; }
header.accepted { border-color: var(--good); } header.refused { border-color: var(--bad); }
.verdict { font-weight: 700; letter-spacing: 0.1em; font-size: 0.95rem; margin: 0; }
.accepted .verdict, .passed { color: var(--good); }
.refused .verdict, .failed { color: var(--bad); }
.passed, .failed { font-weight: 600; white-space: nowrap; }
.scroll { overflow-x: auto; margin: 0 0 1rem; }
table { border-collapse: collapse; width: 100%; font-size: 0.9rem;
  font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: baseline; padding: 0.4rem 1.25rem 0.4rem 0;
  border-bottom: 1px solid var(--rule); unicode-bidi: isolate; }
th:last-child, td:last-child { padding-right: 0; }
thead th { color: var(--muted); font-weight: 500; font-size: 0.82rem; white-space: nowrap; }
tbody th { font-weight: 500; } .facts th { width: 12rem; font-weight: 400; color: var(--muted); }
.whole { white-space: nowrap; } th.number, td.number { text-align: right; white-space: nowrap; }
code { font: 0.86em/1.4 ui-monospace, SFMono-Regular, Menlo, "Liberation Mono", monospace;
  overflow-wrap: anywhere; }
figure { margin: 0 0 1rem; overflow-x: auto; }
svg { display: block; width: 100%; max-width: 50rem; min-width: 40rem; height: auto; }
svg.narrow { max-width: 28rem; min-width: 0; }
svg text { font: 12px system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif;
  font-variant-numeric: tabular-nums; fill: var(--ink); unicode-bidi: isolate; }
svg .tick { fill: var(--muted); font-size: 10.5px; } svg .rule { stroke: var(--rule); }
svg .mark { fill: var(--accent); stroke: var(--accent); }
svg .idle { fill: var(--idle); stroke: var(--idle); }
svg text.idle { fill: var(--muted); stroke: none; }
svg .whisker { stroke: var(--ink); } svg .guide { stroke: var(--muted); }
details { margin: 0 0 1rem; } summary { cursor: pointer; margin-bottom: 0.5rem; }
@media (max-width: 40rem) { main { padding: 1.5rem 1rem 3rem; } h1 { font-size: 1.6rem; }
  .facts th { width: auto; white-space: nowrap; } }
@media print { body { font-size: 10.5pt; } main { max-width: none; padding: 0; }
  .scroll, figure { overflow: visible; } tr, figure, header { break-inside: avoid; }
  h2 { break-after: avoid; } summary { list-style: none; } }
"""
