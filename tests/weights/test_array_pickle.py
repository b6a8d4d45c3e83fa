import os
import pickle
import pickletools
import random

import numpy as np
import pytest

from metastyle.errors import MetastyleError
from metastyle.weights.array_pickle import load_arrays

GENERATOR = np.random.default_rng(0)
ARRAYS = {
    "a": {"kernel": GENERATOR.normal(size=(3, 3, 2, 4)).astype("f4"), "bias": np.zeros(4, "f4")},
    "b": {"c": {"kernel": np.asfortranarray(GENERATOR.normal(size=(2, 5)).astype("f4"))}},
}


class Runs:
    """Its pickle calls ``function`` when it is loaded."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [3, 4])
def test_nested_arrays_are_flattened(protocol):
    arrays = load_arrays(pickle.dumps(ARRAYS, protocol), "x")
    assert set(arrays) == {"a/kernel", "a/bias", "b/c/kernel"}
    np.testing.assert_array_equal(arrays["a/kernel"], ARRAYS["a"]["kernel"])
    np.testing.assert_array_equal(arrays["b/c/kernel"], ARRAYS["b"]["c"]["kernel"])


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("how", ["system", "eval", "save", "mkdir"])
def test_a_malicious_pickle_is_refused_and_nothing_runs(tmp_path, protocol, how):
    target = tmp_path / "ran"
    calls = {
        "system": Runs(os.system, f"touch {target}"),
        "eval": Runs(eval, f"open({str(target)!r}, 'w')"),
        "save": Runs(np.save, str(target), [1]),
        "mkdir": Runs(os.mkdir, str(target)),
    }
    with pytest.raises(MetastyleError, match=rf"asks for '[\w.]*{how}': refused"):
        load_arrays(pickle.dumps({"evil": calls[how], **ARRAYS}, protocol), "evil.ckpt")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content",
    [
        {"a": np.zeros(3, "f8")},
        {"a": np.zeros(3, ">f4")},
        {"a": np.array([1, "x"], dtype=object)},
        {"a": 3},
        [np.zeros(3, "f4")],
        {"a": np.dtype("f4")},
        "text",
    ],
)
def test_only_dictionaries_of_float32_arrays_are_accepted(content):
    with pytest.raises(MetastyleError):
        load_arrays(pickle.dumps(content, 4), "x")


def test_persistent_objects_and_recursive_dictionaries_are_refused():
    with pytest.raises(MetastyleError, match="persistent"):
        load_arrays(b"\x80\x02X\x01\x00\x00\x00aQ.", "x")
    recursive: dict[str, object] = {}
    recursive["a"] = recursive
    with pytest.raises(MetastyleError):
        load_arrays(pickle.dumps(recursive), "x")


def test_damaged_pickles_are_read_or_refused_in_one_line():
    whole = pickle.dumps(ARRAYS, 4)
    rng = random.Random(0)
    interesting = [position for _, _, position in pickletools.genops(whole)]
    for _ in range(400):
        data = bytearray(whole)
        if rng.random() < 0.3:
            del data[rng.randrange(len(data)) :]
        else:
            for _ in range(rng.randint(1, 3)):
                data[rng.choice(interesting)] = rng.randrange(256)
        try:
            arrays = load_arrays(bytes(data), "x")
        except MetastyleError as error:
            assert "\n" not in str(error)
        else:
            assert all(a.dtype == np.dtype("<f4") for a in arrays.values())
