import json
import random

import pytest
import torch

from metastyle.core.parameters import parameter_shapes
from metastyle.errors import MetastyleError
from metastyle.style import Style
from metastyle.weights import style_file
from metastyle.weights.style_file import StyleRecord, read_style, style_cache_path, write_style
from metastyle.weights.tensor_files import encode


def make(kind="instance_norm", **changes):
    generator = torch.Generator().manual_seed(0)
    fields = {
        "parameters": {
            n: torch.randn(s, generator=generator)
            for n, s in parameter_shapes(kind, 2 * (kind == "low_rank")).items()
        },
        "kind": kind,
        "base": "ab" * 32,
        "painting": "Die große Welle",
        "painting_sha256": "cd" * 32,
        "settings": {"steps": 100, "learning_rate": 1e-3, "contents": ["a", {"b": None}]},
        "curve": ((1, 51.25, 1.1, 50.15), (2, 0.1, 0.05, 0.05)),
    }
    return Style(**(fields | changes))


@pytest.mark.parametrize("kind", ["all", "low_rank", "instance_norm"])
def test_a_style_round_trips(tmp_path, kind):
    path, style = tmp_path / "s.safetensors", make(kind)
    style.save(path)
    loaded = Style.load(path)
    for field in ("kind", "base", "painting", "painting_sha256", "settings", "curve"):
        assert getattr(loaded, field) == getattr(style, field)
    for name, parameter in style.parameters.items():
        assert torch.equal(loaded.parameters[name], parameter.half().float())
    size = {"all": 1_679_235, "low_rank": 40_303, "instance_norm": 3_200}[kind] * 2
    assert size < path.stat().st_size < size + 12_000


def test_a_record_has_the_fields_of_a_style(tmp_path):
    path, style = tmp_path / "s.safetensors", make()
    style.save(path)
    record = read_style(path)
    assert repr(Style(**record._asdict())) == repr(style)
    write_style(record, tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()
    assert isinstance(record, StyleRecord) and record.settings == style.settings


def test_files_of_float32_are_read(tmp_path):
    style = make()
    path = written(tmp_path / "s.safetensors")
    assert all(torch.equal(p, style.parameters[n]) for n, p in Style.load(path).parameters.items())


def test_equal_styles_give_equal_bytes(tmp_path):
    paths = [tmp_path / f"{n}.safetensors" for n in range(3)]
    make().save(paths[0])
    make(settings=dict(reversed(make().settings.items()))).save(paths[1])
    Style.load(paths[0]).save(paths[2])
    assert len({path.read_bytes() for path in paths}) == 1


def test_saving_refuses_numbers_beyond_float16_and_existing_files(tmp_path):
    path = tmp_path / "s.safetensors"
    parameters = make().parameters | {"down1_norm.bias": torch.full((32,), 1e5)}
    with pytest.raises(MetastyleError, match=r"down1_norm\.bias is beyond the range of float16"):
        make(parameters=parameters).save(path)
    assert list(tmp_path.iterdir()) == []
    make(painting="another").save(path)
    before = path.read_bytes()
    with pytest.raises(MetastyleError, match="already exists"):
        make().save(path)
    assert path.read_bytes() == before
    make().save(path, overwrite=True)
    assert path.read_bytes() != before


def written(path, tensors=None, **metadata):
    """Write a file with a correct checksum but changed metadata; None omits an entry."""
    style = make()
    usual = {
        "format": style_file.FORMAT,
        "format_version": "1",
        "kind": style.kind,
        "base": style.base,
        "painting": style.painting,
        "painting_sha256": style.painting_sha256,
        "settings": "{}",
        "curve": "[]",
    }
    complete = {k: v for k, v in (usual | metadata).items() if v is not None}
    path.write_bytes(encode(style.parameters if tensors is None else tensors, complete))
    return path


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"format": None}, "not a metastyle style: its format is not declared"),
        ({"format": "metastyle-initialisation"}, "its format is 'metastyle-initialisation'"),
        ({"format": "a\nb"}, r"its format is 'a\\nb'"),
        ({"format_version": "2"}, "made by a newer metastyle .*upgrade"),
        ({"format_version": None}, "its format version is ''"),
        ({"format_version": "-1"}, "its format version is '-1'"),
        ({"format_version": "²"}, "its format version is '²'"),
        ({"format_version": "9" * 5000}, "its format version is"),
        ({"kind": "some"}, "a style's kind is 'some'"),
        ({"kind": "all"}, "lack down1.bias"),
        ({"kind": None}, "lacks its kind"),
        ({"base": "ab"}, "base is 'ab'"),
        ({"painting": None}, "lacks its painting"),
        ({"painting_sha256": ""}, "painting_sha256 is ''"),
        ({"settings": "{"}, "settings or loss curve cannot be read"),
        ({"settings": "[" * 100_000}, "settings or loss curve cannot be read"),
        ({"settings": "[]"}, "settings are a list"),
        ({"settings": '{"a": NaN}'}, "cannot be stored as JSON"),
        ({"curve": "[[1, 2, 3]]"}, "cannot be stored as JSON"),
        ({"curve": "7"}, "cannot be stored as JSON"),
        ({"curve": "[[1, NaN, 1, 1]]"}, "not finite"),
        ({"curve": "[[1e999, 1, 1, 1]]"}, "cannot be stored as JSON"),
    ],
)
def test_foreign_newer_and_invalid_files_are_refused(tmp_path, metadata, message):
    path = written(tmp_path / "s.safetensors", **metadata)
    with pytest.raises(MetastyleError, match=message) as caught:
        Style.load(path)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


def test_foreign_tensors_are_refused(tmp_path):
    good = make().parameters
    name = "down1_norm.bias"
    for tensors, message in (
        ({}, "lack"),
        ({n: t for n, t in good.items() if n != name}, f"lack {name}"),
        (good | {"other": torch.zeros(1)}, "have 'other'"),
        (good | {name: torch.zeros(31)}, r"\(31,\)"),
        (good | {name: torch.full((32,), torch.nan)}, "not finite"),
        (good | {name: torch.zeros(32, dtype=torch.int32)}, "type 'I32'"),
    ):
        with pytest.raises(MetastyleError, match=message):
            Style.load(written(tmp_path / "s.safetensors", tensors))


def test_damaged_files_are_refused_in_one_line_or_give_the_same_style(tmp_path):
    path = tmp_path / "s.safetensors"
    rng = random.Random(1)
    refused = 0
    make().save(path)
    whole = path.read_bytes()
    header = int.from_bytes(whole[:8], "little")
    for number in range(600):
        data = bytearray(whole)
        damage = number % 6
        if damage == 0:  # truncated
            del data[rng.randrange(len(data)) :]
        elif damage == 1:  # one bit anywhere
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        elif damage == 2:  # a few bytes of the header
            for _ in range(rng.randint(1, 4)):
                data[8 + rng.randrange(header)] = rng.randrange(256)
        elif damage == 3:  # the header's length
            data[:8] = rng.choice([header + rng.randint(-50, 50), rng.getrandbits(64)]).to_bytes(8, "little")
        elif damage == 4:  # a piece of the file moved elsewhere
            start, length, target = rng.randrange(len(data)), rng.randrange(1, 200), rng.randrange(len(data))
            piece = data[start : start + length]
            data[target : target + len(piece)] = piece
        else:  # a header entry removed or replaced, its length set right
            entries = json.loads(bytes(data[8 : 8 + header]))
            owner = rng.choice([entries, entries["__metadata__"], *entries.values()])
            owner[rng.choice(list(owner))] = rng.choice([None, "", 0, -1, [], {}, [2**63], "F16", [0, 2]])
            text = json.dumps(entries).encode()
            data = bytearray(len(text).to_bytes(8, "little") + text + whole[8 + header :])
        path.write_bytes(data)
        try:
            style = Style.load(path)
        except MetastyleError as error:
            assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
            refused += 1
        else:  # harmless damage, such as another space or the same byte
            assert all(
                torch.equal(p, make().parameters[n].half().float()) for n, p in style.parameters.items()
            )
            assert style.settings == make().settings and style.painting == make().painting
    assert refused > 550


def test_the_path_in_the_cache_depends_on_every_argument(tmp_path):
    usual = {"painting": "a", "base": "b", "settings": {"steps": 1, "seed": 0}, "contents": "c"}
    path = style_cache_path(tmp_path, **usual)
    assert path == style_cache_path(tmp_path, **(usual | {"settings": {"seed": 0, "steps": 1}}))
    others = [{"painting": "x"}, {"base": "x"}, {"settings": {"steps": 2, "seed": 0}}, {"contents": "x"}]
    others.append({"start": "x"})
    assert len({path, *(style_cache_path(tmp_path, **(usual | change)) for change in others)}) == 6
    # The path in version 0.1.0, whose caches stay valid.
    assert (
        path
        == tmp_path
        / "styles"
        / "7431384581c1012faa213829428b7cf80a0681a17a15d8b6c879bcbee88d0312.safetensors"
    )
