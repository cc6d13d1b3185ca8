"""Pictures: what they say, and that nothing in them is markup by accident."""

import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest

from interlock.console.dag import Node
from interlock.console.drawing import Box, Line, graph_picture, lines_picture, nice_top, share_bar

HOSTILE = '<script>alert("x")</script>'


def test_graph_links_every_task_and_says_its_state():
    nodes = [Node(name="a", title="a"), Node(name="b", title="b", after=("a",))]
    boxes = {"a": Box(kind="good", word="succeeded", link="#task-a"), "b": Box(kind="idle", word="waiting")}
    root = ET.fromstring(graph_picture(nodes, boxes))
    assert [(link.get("href"), list(link.itertext())[-2:]) for link in root.iter("a")] == [
        ("#task-a", ["a", "succeeded"])
    ]
    assert [path.get("class") for path in root.iter("path")] == ["edge idle"]


def test_boxes_of_a_row_do_not_overlap():
    names = "bcdef"
    nodes = [Node(name="a", title="a"), *(Node(name=n, title=n, after=("a",)) for n in names)]
    boxes = {node.name: Box(kind="idle", word="waiting") for node in nodes}
    root = ET.fromstring(graph_picture(nodes, boxes))
    rects = [(float(r.get("x")), float(r.get("y")), float(r.get("width"))) for r in root.iter("rect")]
    row = sorted(x for x, y, _ in rects if y > 10)
    assert len(row) == len(names)
    assert all(right - left >= rects[0][2] for left, right in pairwise(row))
    assert min(row) >= 0
    assert max(row) + rects[0][2] <= float(root.get("width"))


def test_names_are_text():
    drawn = graph_picture([Node(name="n", title=HOSTILE)], {"n": Box(kind="bad", word=HOSTILE, link=HOSTILE)})
    assert "<script" not in drawn
    assert "<script" not in share_bar([(HOSTILE, 100, "candidate")])
    assert "<script" not in lines_picture(HOSTILE, HOSTILE, [Line(name=HOSTILE, style="x", points=[(0, 1)])], 0, 1)


def test_share_bar_is_as_wide_as_the_traffic():
    bar = share_bar([("1", 70, "champion"), ("2", 30, "candidate"), ("3", 0, "candidate")])
    root = ET.fromstring(f"<div>{bar}</div>")
    assert [(r.get("x"), r.get("width")) for r in root.iter("rect")] == [("0", "70"), ("70", "30")]
    assert "No version gets traffic" in share_bar([("1", 0, "champion")])


def test_lines_without_traffic_say_so():
    assert "no traffic" in lines_picture("Requests", "per second", [], 0, 10)


def test_a_line_does_not_bridge_seconds_of_which_nothing_is_known():
    points = [(0.0, 1.0), (1.0, 2.0), (5.0, 2.0)]
    root = ET.fromstring(lines_picture("Latency", "ms", [Line(name="1", style="x", points=points)], 0, 5))
    path = next(path.get("d") for path in root.iter("path"))
    assert (path.count("M"), path.count("L"), path.count("h0")) == (2, 1, 2)


@pytest.mark.parametrize(
    ("value", "top"), [(0, 1), (0.7, 0.8), (3, 3), (10, 10), (11, 12), (2734, 3000), (0.034, 0.04), (0.2, 0.2)]
)
def test_axes_end_at_round_numbers(value, top):
    assert nice_top(value) == pytest.approx(top)
