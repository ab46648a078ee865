"""From messages to outputs: right in shape, bounded in size, whatever a kernel claims."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tito.grading.outputs import BoundedOutputs, error_output

KINDS = ["stream", "error", "display_data", "execute_result", "update_display_data", "status"]


def collected(*messages: tuple[str, dict[str, Any]], room: int = 10_000) -> list[dict[str, Any]]:
    outputs = BoundedOutputs(room)
    for kind, content in messages:
        outputs.add(kind, content)
    return outputs.finished()


def stream(text: str, name: str = "stdout") -> tuple[str, dict[str, Any]]:
    return "stream", {"name": name, "text": text}


def display(text: str, identity: str | None = None) -> tuple[str, dict[str, Any]]:
    transient = {} if identity is None else {"display_id": identity}
    return "display_data", {"data": {"text/plain": text}, "transient": transient}


def test_text_of_one_stream_is_joined() -> None:
    found = collected(stream("a"), stream("b"), stream("c", "stderr"), stream("d"))
    assert [(o["name"], o["text"]) for o in found] == [
        ("stdout", "ab"),
        ("stderr", "c"),
        ("stdout", "d"),
    ]


def test_outputs_are_cleared_now_or_with_the_next_one() -> None:
    assert collected(stream("a"), ("clear_output", {"wait": False})) == []
    assert len(collected(stream("a"), ("clear_output", {"wait": True}))) == 1
    found = collected(stream("a"), ("clear_output", {"wait": True}), stream("b"))
    assert [o["text"] for o in found] == ["b"]


def test_a_display_is_updated_in_place() -> None:
    update = ("update_display_data", display("new", "x")[1])
    found = collected(display("old", "x"), display("other", "y"), update)
    assert [o["data"]["text/plain"] for o in found] == ["new", "other"]


def test_what_is_too_large_is_left_out_and_said() -> None:
    found = collected(stream("a" * 50), stream("b" * 200), display("c" * 200), room=150)
    assert found[0]["text"] == "a" * 50
    assert found[-1]["text"].startswith("[outputs left out")
    assert "1 of kind stream" in found[-1]["text"]
    assert "1 of kind display_data" in found[-1]["text"]


def test_an_error_is_kept_when_there_is_no_room_left() -> None:
    content = {"ename": "E", "evalue": "v" * 9_000, "traceback": ["line"] * 500}
    found = collected(stream("a" * 200), ("error", content), room=300)
    assert [o["output_type"] for o in found] == ["stream", "error"]
    assert len(json.dumps(found[1])) < 5_000


def test_an_error_from_outside_has_the_same_form() -> None:
    assert error_output("CellTimeout", "too slow").keys() == collected(("error", {}))[0].keys()


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
contents = st.dictionaries(
    st.sampled_from(["name", "text", "data", "metadata", "ename", "traceback", "transient"]),
    anything,
)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from([*KINDS, "clear_output"]), contents), max_size=8))
def test_whatever_comes_gives_outputs_of_the_right_form(
    messages: list[tuple[str, dict[str, Any]]],
) -> None:
    for output in collected(*messages, room=500):
        if output["output_type"] == "stream":
            assert output["name"] in ("stdout", "stderr")
            assert isinstance(output["text"], str)
        elif output["output_type"] == "error":
            assert isinstance(output["ename"], str)
            assert all(isinstance(line, str) for line in output["traceback"])
        else:
            assert output["output_type"] in ("display_data", "execute_result")
            assert isinstance(output["data"], dict)
            assert isinstance(output["metadata"], dict)
