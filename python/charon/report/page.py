"""A self-contained HTML page of sections, paragraphs, tables and figures; it loads nothing."""

import base64
import io
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from types import TracebackType

from matplotlib.figure import Figure

STYLE = """
:root { --ink: #1c2430; --soft: #5c6675; --line: #dfe3e9; --tint: #f5f7fa; --accent: #1f5fa8; }
* { box-sizing: border-box; }
body { margin: 0; color: var(--ink); background: #fff; font: 16px/1.55 system-ui, -apple-system, "Segoe UI",
  Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 64rem; margin: 0 auto; padding: 2.5rem 1.5rem 4rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .3rem; }
h2 { font-size: 1.3rem; margin: 2.8rem 0 .8rem; padding-top: .6rem; border-top: 1px solid var(--line); }
h3 { font-size: 1.05rem; margin: 1.6rem 0 .5rem; }
p { max-width: 46rem; margin: .6rem 0; }
.subtitle, figcaption, caption { color: var(--soft); }
nav { margin: 1.2rem 0 0; display: flex; flex-wrap: wrap; gap: .3rem 1.1rem; }
nav a { color: var(--accent); text-decoration: none; } nav a:hover { text-decoration: underline; }
figure { margin: 1rem 0 1.4rem; } figure img { max-width: 100%; height: auto; display: block; }
figcaption, caption { font-size: .9rem; } caption { text-align: left; padding-bottom: .35rem; }
.scroll { overflow-x: auto; margin: .8rem 0 1.4rem; }
table { border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums; }
th, td { padding: .28rem .8rem .28rem 0; text-align: left; vertical-align: top; }
th { font-weight: 600; border-bottom: 1.5px solid var(--ink); white-space: nowrap; }
td { border-bottom: 1px solid var(--line); }
.number { text-align: right; white-space: nowrap; }
tr.strong td { font-weight: 600; background: var(--tint); }
pre { background: var(--tint); padding: .9rem 1.1rem; overflow-x: auto; font-size: .85rem;
  line-height: 1.45; }
details { margin: .8rem 0; } summary { cursor: pointer; color: var(--accent); }
.columns { display: flex; flex-wrap: wrap; gap: 0 2.5rem; align-items: flex-start; }
@media print { nav { display: none; } h2 { break-after: avoid; } figure, table { break-inside: avoid; } }
"""


class Page:
    """Collects content in the order of the calls; text is escaped, so any string may be given.

    >>> page = Page("A run")
    >>> page.section("Errors")
    >>> page.table(["system", "MAE"], [["CH2", 1.25]])
    """

    def __init__(self, title: str, subtitle: str = "") -> None:
        self.title, self.subtitle = title, subtitle
        self.body: list[str] = []
        self.sections: list[str] = []

    def section(self, title: str) -> None:
        """Begins a section; it is listed at the top of the page."""
        self.sections.append(title)
        self.body.append(f'<h2 id="s{len(self.sections)}">{escape(title)}</h2>')

    def heading(self, title: str) -> None:
        """A heading inside a section."""
        self.body.append(f"<h3>{escape(title)}</h3>")

    def text(self, text: str) -> None:
        """A paragraph."""
        self.body.append(f"<p>{escape(text)}</p>")

    def code(self, text: str, summary: str = "") -> None:
        """Preformatted text; with a `summary` it is folded away behind it."""
        self.body.append(_folded(f"<pre>{escape(text)}</pre>", summary))

    def figure(self, figure: Figure | str | Path, caption: str = "", width: str = "", summary: str = "") -> None:
        """A matplotlib figure or a PNG file, as large as it fits or `width` wide (a CSS length).

        With a `summary` it is folded away behind it.
        """
        content = png(figure) if isinstance(figure, Figure) else Path(figure).read_bytes()
        data = base64.b64encode(content).decode("ascii")
        style = f' style="width:{escape(width)}"' if width else ""
        note = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
        alternative = escape(caption or summary or self.title)
        image = f'<img alt="{alternative}" src="data:image/png;base64,{data}"{style}>'
        self.body.append(_folded(f"<figure>{image}{note}</figure>", summary))

    def table(
        self,
        headings: Sequence[str],
        rows: Iterable[Sequence[object]],
        caption: str = "",
        strong: Iterable[int] = (),
    ) -> None:
        """A table; floats are shown with 4 digits, numbers aligned to the right, rows in `strong` set off."""
        cells = [list(row) for row in rows]
        numeric = [
            any(isinstance(row[i], int | float) for row in cells) and not any(_is_word(row[i]) for row in cells)
            for i in range(len(headings))
        ]
        emphasized = set(strong)
        head = "".join(_cell("th", name, number) for name, number in zip(headings, numeric, strict=True))
        lines = []
        for i, row in enumerate(cells):
            mark = ' class="strong"' if i in emphasized else ""
            lines.append(
                f"<tr{mark}>" + "".join(_cell("td", v, n) for v, n in zip(row, numeric, strict=True)) + "</tr>"
            )
        note = f"<caption>{escape(caption)}</caption>" if caption else ""
        table = f"<table>{note}<thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
        self.body.append(f'<div class="scroll">{table}</div>')

    def columns(self) -> "_Columns":
        """A context in which blocks stand beside each other where the window is wide enough."""
        return _Columns(self)

    def html(self) -> str:
        """The whole page."""
        links = "".join(f'<a href="#s{i}">{escape(name)}</a>' for i, name in enumerate(self.sections, start=1))
        return (
            '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{escape(self.title)}</title><style>{STYLE}</style></head>\n<body><main>"
            f'<h1>{escape(self.title)}</h1><div class="subtitle">{escape(self.subtitle)}</div>'
            + (f"<nav>{links}</nav>" if links else "")
            + "\n".join(self.body)
            + "</main></body></html>\n"
        )

    def write(self, path: str | Path) -> Path:
        """Writes the page and returns its path."""
        path = Path(path)
        path.write_text(self.html(), encoding="utf-8")
        return path


class _Columns:
    def __init__(self, page: Page) -> None:
        self.page = page

    def __enter__(self) -> None:
        self.page.body.append('<div class="columns">')

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.page.body.append("</div>")


def _folded(block: str, summary: str) -> str:
    return f"<details><summary>{escape(summary)}</summary>{block}</details>" if summary else block


def png(figure: Figure, dpi: int = 144) -> bytes:
    """The figure as PNG, by the Agg backend of its own canvas; pyplot's state is not touched."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()


def _is_word(value: object) -> bool:
    return isinstance(value, str) and value not in ("", "-")


def _cell(tag: str, value: object, number: bool) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return f'<{tag} class="number">{escape(text)}</{tag}>' if number else f"<{tag}>{escape(text)}</{tag}>"
