import json
from hashlib import sha256

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from metastyle.errors import MetastyleError
from metastyle.weights import tensor_files
from metastyle.weights.tensor_files import decode, encode, tensor_digest

TENSORS = {"b": torch.arange(6.0).view(2, 3).half(), "a": torch.tensor([0.1, -2.0])}


def test_tensors_and_metadata_round_trip():
    content = decode(encode(TENSORS, {"name": "Größe\n"}), "x")
    assert content.metadata == {"name": "Größe\n"}
    assert content.tensors.keys() == TENSORS.keys()
    for name, tensor in content.tensors.items():
        assert tensor.dtype == torch.float32 and torch.equal(tensor, TENSORS[name].float())


def test_equal_content_gives_equal_bytes():
    metadata = {str(n): str(n) for n in range(20)}
    backwards = dict(reversed(metadata.items()))
    files = {encode(dict(reversed(TENSORS.items())), m) for m in (metadata, backwards) for _ in range(10)}
    assert len(files) == 1


def test_the_digest_depends_only_on_names_shapes_and_values():
    digest = tensor_digest(TENSORS)
    assert digest == tensor_digest({"a": TENSORS["a"].clone(), "b": TENSORS["b"].float()})
    assert digest == tensor_digest({"a": TENSORS["a"], "b": TENSORS["b"].t().contiguous().t()})
    assert digest != tensor_digest({"a": TENSORS["a"], "b": TENSORS["b"].view(3, 2)})
    assert digest != tensor_digest({"a": TENSORS["a"], "c": TENSORS["b"]})
    assert digest != tensor_digest({"a": TENSORS["a"] + 1e-7, "b": TENSORS["b"]})
    assert tensor_digest({"x": torch.tensor([1.0])}) == sha256(b"x [1]\n\x00\x00\x80\x3f").hexdigest()


def test_the_numbers_of_a_file_are_hashed_once(monkeypatch):
    data, real, calls = encode(TENSORS, {}), tensor_digest, []
    monkeypatch.setattr(tensor_files, "tensor_digest", lambda tensors: calls.append(1) or real(tensors))
    content = decode(data, "x")
    assert content.digest == real(TENSORS) and len(calls) == 1


def spliced(change):
    """An encoded file with its header replaced."""
    data = encode(TENSORS, {"k": "v"})
    size = int.from_bytes(data[:8], "little")
    header = change(json.loads(data[8 : 8 + size]))
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data[8 + size :]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "it is empty"),
        (b"\x00", "not a safetensors file"),
        (b"\xff\xd8\xff\xe0 a photograph", "not a safetensors file"),
        ((1 << 40).to_bytes(8, "little") + b"{}", "header claims"),
        (encode(TENSORS, {})[:40], "truncated"),
        (encode(TENSORS, {})[:-1], "truncated or damaged"),
        (encode(TENSORS, {}) + b"\0", "truncated or damaged"),
        (spliced(lambda h: b"{" * 100_000), "not what safetensors prescribes"),
        (spliced(lambda h: b'{"a":' * 20_000), "not what safetensors prescribes"),
        (spliced(lambda h: b"{" + b"1" * 50), "not what safetensors prescribes"),
        (spliced(lambda h: h | {"a": 1}), "not what safetensors prescribes"),
        (spliced(lambda h: h | {"a": h["a"] | {"dtype": "I64"}}), "'I64'"),
        (spliced(lambda h: h | {"a": h["a"] | {"dtype": "F\nX"}}), r"F\\nX"),
        (spliced(lambda h: h | {"a": h["a"] | {"dtype": ["F32"]}}), "not what safetensors prescribes"),
        (spliced(lambda h: h | {"a": h["a"] | {"shape": [2**62, 2**62]}}), "truncated or damaged"),
        (spliced(lambda h: h | {"a": h["a"] | {"shape": [-1]}}), "truncated or damaged"),
        (spliced(lambda h: h | {"__metadata__": None}), "damaged"),
        (spliced(lambda h: h | {"__metadata__": {"k": 1}}), "damaged"),
        (spliced(lambda h: h | {"__metadata__": {}}), "no checksum"),
        (spliced(lambda h: h | {"__metadata__": h["__metadata__"] | {"k": "w"}}), "checksum"),
        (spliced(lambda h: {"__metadata__": h["__metadata__"]}), "truncated or damaged"),
    ],
)
def test_damaged_files_are_refused_in_one_line(data, message):
    with pytest.raises(MetastyleError, match=message) as caught:
        decode(data, "file.safetensors")
    assert str(caught.value).startswith("file.safetensors: ") and "\n" not in str(caught.value)


@settings(deadline=None, max_examples=200)
@given(position=st.integers(0), value=st.integers(0, 255))
def test_every_changed_byte_is_detected(position, value):
    data = bytearray(encode(TENSORS, {"k": "v"}))
    start = 8 + int.from_bytes(data[:8], "little")
    at = start + position % (len(data) - start)
    changed = data[at] != value
    data[at] = value
    if changed:
        with pytest.raises(MetastyleError, match="checksum"):
            decode(bytes(data), "x")
    else:
        decode(bytes(data), "x")
