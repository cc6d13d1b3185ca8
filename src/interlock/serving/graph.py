"""An ONNX file cut in two at the input of its tree ensemble, without the onnx package.

::

    categories ─> encode ─┐
                          ├─> features (n, k) ─┼─> TreeEnsembleClassifier ─> label, probabilities
    numbers ──────────────┘                    cut

An ONNX file is a protocol-buffer message. Only the few fields that name nodes and tensors are read; everything
else is copied byte by byte. Field numbers: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

_MODEL_GRAPH: Final = 7
_GRAPH_NODE, _GRAPH_INPUT, _GRAPH_OUTPUT = 1, 11, 12
_NODE_INPUT, _NODE_OUTPUT, _NODE_OP, _NODE_ATTRIBUTE = 1, 2, 4, 5
_ATTRIBUTE_STRINGS: Final = 9
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5

_ENSEMBLES: Final = (b"TreeEnsembleClassifier", b"TreeEnsembleRegressor")


class Cut(NamedTuple):
    """``encoder``: the same inputs, output ``features``. ``trees``: input ``features``, the same outputs.

    ``texts``: every text in the attributes of the encoder, so every category the model can tell apart.
    ``ensemble``: the node of the trees.
    """

    encoder: bytes
    trees: bytes
    features: str
    texts: list[str]
    ensemble: Node


class _Field(NamedTuple):
    number: int
    content: bytes  # of a length-delimited field, else empty
    whole: bytes


class Node(NamedTuple):
    """A node of the graph; ``attributes`` are AttributeProto messages."""

    operation: bytes
    inputs: list[bytes]
    outputs: list[bytes]
    attributes: list[bytes]
    whole: bytes


def cut_at_trees(model: bytes) -> Cut | None:
    """The two halves, or None if the file is not a graph with exactly one tree ensemble."""
    try:
        return _cut(model)
    except (IndexError, ValueError):  # not the message it should be
        return None


def _cut(model: bytes) -> Cut | None:
    outer = list(fields(model))
    graphs = [field for field in outer if field.number == _MODEL_GRAPH]
    if len(graphs) != 1:
        return None
    inner = list(fields(graphs[0].content))
    nodes = [_node(field) for field in inner if field.number == _GRAPH_NODE]
    ensembles = [node for node in nodes if node.operation in _ENSEMBLES]
    if len(ensembles) != 1:
        return None
    features = ensembles[0].inputs[0]
    before = _upstream(nodes, features)
    if not before:  # the graph's own input: nothing is encoded
        return None
    kept = [field.whole for field in inner if field.number not in (_GRAPH_NODE, _GRAPH_INPUT, _GRAPH_OUTPUT)]
    inputs = [field.whole for field in inner if field.number == _GRAPH_INPUT]
    outputs = [field.whole for field in inner if field.number == _GRAPH_OUTPUT]
    value = _float_matrix(features)
    encoder = [*before, *kept, *inputs, _message(_GRAPH_OUTPUT, value)]
    after = [node.whole for node in nodes if node.whole not in before]
    trees = [*after, *kept, _message(_GRAPH_INPUT, value), *outputs]
    texts = sorted({text for node in nodes if node.whole in before for text in _texts(node)})
    return Cut(_with_graph(outer, encoder), _with_graph(outer, trees), features.decode(), texts, ensembles[0])


def _with_graph(outer: list[_Field], graph: list[bytes]) -> bytes:
    replaced = _message(_MODEL_GRAPH, b"".join(graph))
    return b"".join(replaced if field.number == _MODEL_GRAPH else field.whole for field in outer)


def _upstream(nodes: list[Node], tensor: bytes) -> list[bytes]:
    """The nodes ``tensor`` is made by, in the order of the graph."""
    wanted, found = {tensor}, []
    for node in reversed(nodes):  # ONNX keeps nodes in topological order
        if wanted.intersection(node.outputs):
            wanted.update(node.inputs)
            found.append(node.whole)
    return found[::-1]


def _node(field: _Field) -> Node:
    parts = list(fields(field.content))
    return Node(
        operation=b"".join(part.content for part in parts if part.number == _NODE_OP),
        inputs=[part.content for part in parts if part.number == _NODE_INPUT],
        outputs=[part.content for part in parts if part.number == _NODE_OUTPUT],
        attributes=[part.content for part in parts if part.number == _NODE_ATTRIBUTE],
        whole=field.whole,
    )


def _texts(node: Node) -> list[str]:
    return [
        value.content.decode()
        for attribute in node.attributes
        for value in fields(attribute)
        if value.number == _ATTRIBUTE_STRINGS
    ]


def _float_matrix(name: bytes) -> bytes:
    """ValueInfoProto of a float32 tensor of shape (n, k), both open."""
    shape = _message(1, b"") * 2  # two TensorShapeProto.Dimension without a value
    tensor = b"\x08\x01" + _message(2, shape)  # elem_type = FLOAT
    return _message(1, name) + _message(2, _message(1, tensor))


def _message(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | _LENGTH) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def fields(message: bytes) -> Iterator[_Field]:
    """The fields of a protocol-buffer message; IndexError or ValueError if it is none."""
    position = 0
    while position < len(message):
        start = position
        key, position = _read_varint(message, position)
        kind, content = key & 7, b""
        if kind == _VARINT:
            _, position = _read_varint(message, position)
        elif kind == _FIXED64:
            position += 8
        elif kind == _FIXED32:
            position += 4
        elif kind == _LENGTH:
            length, position = _read_varint(message, position)
            content = message[position : position + length]
            position += length
        else:
            raise ValueError(f"wire type {kind}")
        if position > len(message):
            raise ValueError("cut off")
        yield _Field(key >> 3, content, message[start:position])


def _read_varint(message: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
