from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from metastyle.cli.commands.bench_adaptation import parse_steps, parse_variant
from metastyle.cli.commands.bench_common import choose, read_lists
from metastyle.cli.commands.bench_speed import STYLE, _pictures
from metastyle.cli.main import main
from metastyle.core.loss_network import LossNetwork
from metastyle.core.settings import AdaptationSettings
from metastyle.errors import MetastyleError
from metastyle.systems.vgg19 import Encoder
from metastyle.weights.builtin_styles import builtin_path
from metastyle.weights.lpips import CONVOLUTIONS, WIDTHS


@pytest.fixture(autouse=True)
def no_download(monkeypatch: pytest.MonkeyPatch, random_loss_network: LossNetwork) -> None:
    monkeypatch.setattr("metastyle.weights.vgg16.load_loss_network", lambda **_: random_loss_network)


def test_a_variant_is_parsed() -> None:
    variant = parse_variant("two photos: contents=photos batch=2 parameters=instance_norm learning_rate=2e-3")
    assert (variant.name, variant.model, variant.contents) == ("two photos", "shipped", "photos")
    expected = AdaptationSettings(batch=2, parameters="instance_norm", learning_rate=2e-3)
    assert variant.settings == expected
    assert parse_variant("s:").contents == "procedural"
    assert parse_variant("s: contents=synthetic").contents == "procedural"  # its former name
    assert parse_variant("s:", 96).settings.style_size == 96
    assert parse_variant("s: style_size=128", 96).settings.style_size == 128


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        ": batch=2",
        "a: batch",
        "a: batches=2",
        "a: contents=x",
        "a: contents=[1]",
        "a: batch=0",
        "a: batch=two",
    ],
)
def test_an_invalid_variant_is_named_in_one_line(text: str) -> None:
    with pytest.raises(MetastyleError) as caught:
        parse_variant(text)
    assert str(caught.value).startswith(f"--variant {text}: ") and "\n" not in str(caught.value)


def test_steps_must_be_whole_numbers() -> None:
    assert parse_steps("0, 5,10") == [0, 5, 10]
    for text in ("", "1,,2", "-1", "1.5", "a", "99999999"):
        with pytest.raises(MetastyleError, match="--steps"):
            parse_steps(text)


def test_adaptation_writes_numbers_table_plot_and_sheet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("photos", "paintings"):
        (tmp_path / name).mkdir()
        noise = np.random.default_rng(0).integers(0, 256, (64, 72, 3), np.uint8)
        Image.fromarray(noise).save(tmp_path / name / "a.png")
    arguments = ["bench", "adaptation", "--content", str(tmp_path / "photos"), "--quiet", "--json"]
    arguments += ["--style", str(tmp_path / "paintings"), "-o", str(tmp_path / "out"), "--size", "64"]
    arguments += ["--style-size", "64", "--steps", "0,1", "--variant", "tiny: model=random size=64"]
    assert main(arguments) == 0
    outputs = [Path(o["output"]) for o in json.loads(capsys.readouterr().out)["outputs"]]
    assert [p.name for p in outputs] == ["results.json", "table.md", "plot.png", "sheet.jpg"]
    assert "| tiny |" in outputs[1].read_text()
    with Image.open(outputs[3]) as shown:
        assert (
            shown.format == "JPEG" and shown.width == 4 * 248 + 8
        )  # photograph, painting, two numbers of steps
    about = json.loads((tmp_path / "out" / "about.json").read_text())
    assert about[0]["scale"] == {"photographs": "long edge 64", "paintings": "long edge 64"}
    assert main([*arguments[:-1], "both: contents=photos"]) == 2
    assert "--train-content" in json.loads(capsys.readouterr().out)["errors"][0]["error"]


def test_listed_pictures_are_divided_among_shards(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("lists.toml").write_text(
        'paintings = ["1.png", "0.png"]\nphotographs = ["1.png"]\nreferences = ["0.png"]\n'
    )
    arguments = ["bench", "adaptation", "--content", "photos", "--style", "paintings", "--size", "64"]
    arguments += ["--style-size", "64", "--steps", "0", "--variant", "tiny: model=random size=64", "--json"]
    arguments += ["--reference", "dark_for_a_test:Dark", "--pictures", "lists.toml", "-o", "out", "--quiet"]
    for shard, painting in (("1/2", "1"), ("2/2", "0")):
        assert main([*arguments, "--shard", shard]) == 0
        outputs = json.loads(capsys.readouterr().out)["outputs"]
        rows = json.loads(Path(outputs[0]["output"]).read_text(encoding="utf-8"))
        assert {(row["painting"], row["photo"]) for row in rows} == {(painting, "1")}
    written = Path("out/table.md").read_text(encoding="utf-8")
    assert "over 2 paintings of means over 1 photograph." in written
    assert "| tiny | **all 1** |" in written  # the reference on its painting only
    assert written.index("| 1 | tiny |") < written.index("| 0 | tiny |")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("paintings = [", "cannot be read as TOML"),
        ('paintings = ["a"]\nreferences = ["a"]', "'photographs' must be a list"),
        ('paintings = "a"\nphotographs = ["b"]\nreferences = ["a"]', "'paintings' must be a list"),
        ('paintings = ["a"]\nphotographs = ["b", 3]\nreferences = ["a"]', "'photographs' must be a list"),
        ('paintings = ["a"]\nphotographs = ["b"]\nreferences = [["a"]]', "'references' must be a list"),
        ('paintings = []\nphotographs = ["b"]\nreferences = []', "'paintings' is empty: name one file or"),
        ('paintings = ["a"]\nphotographs = []\nreferences = []', "'photographs' is empty: name one file or"),
        ('paintings = ["a"]\nphotographs = ["b"]\nreferences = ["c"]', "'c' is one of the references"),
        ('paintings = ["a"]\nphotographs = ["b"]\nreferences = ["a"]\nx = 1', "'x' is not known"),
    ],
)
def test_an_invalid_list_of_pictures_is_refused_in_one_line(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "lists.toml").write_text(text)
    with pytest.raises(MetastyleError, match=message) as caught:
        read_lists(tmp_path / "lists.toml")
    assert "\n" not in str(caught.value)


def test_the_list_of_references_may_be_empty_unless_a_reference_is_asked_for(
    folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("lists.toml").write_text('paintings = ["0.png"]\nphotographs = ["1.png"]\nreferences = []\n')
    arguments = ["bench", "adaptation", "--content", "photos", "--style", "paintings", "--size", "64"]
    arguments += ["--style-size", "64", "--steps", "0", "--variant", "tiny: model=random size=64", "--json"]
    arguments += ["--pictures", "lists.toml", "-o", "out", "--quiet"]
    assert main(arguments) == 0
    outputs = json.loads(capsys.readouterr().out)["outputs"]
    rows = json.loads(Path(outputs[0]["output"]).read_text(encoding="utf-8"))
    assert [(row["painting"], row["photo"]) for row in rows] == [("0", "1")]
    assert main([*arguments, "--reference", "dark_for_a_test:Dark"]) == 2
    error = json.loads(capsys.readouterr().out)["errors"][0]["error"]
    assert error.startswith("lists.toml: 'references' is empty: name the paintings there")


def test_listed_pictures_must_exist_and_names_must_differ(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    assert choose(tmp_path, 9, ["a.png"]) == [tmp_path / "a.png"]
    with pytest.raises(MetastyleError, match=r"b\.png: no such file"):
        choose(tmp_path, 9, ["a.png", "b.png"])
    (tmp_path / "a.jpg").touch()
    with pytest.raises(MetastyleError, match="two pictures have the same name"):
        choose(tmp_path, 9)


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two photographs, two paintings, and a module with a system that darkens and one that fails."""
    for seed, name in enumerate(("photos", "paintings")):
        (tmp_path / name).mkdir()
        for index in range(2):
            noise = np.random.default_rng(9 * seed + index).integers(0, 256, (6, 7, 3), np.uint8)
            Image.fromarray(noise).resize((200, 180)).save(tmp_path / name / f"{index}.png")
    (tmp_path / "dark_for_a_test.py").write_text(
        "class Dark:\n"
        "    name, parameters, styles = 'Dark', 0, 'any'\n"
        "    def __init__(self, device, share=0.5):\n"
        "        self.share = share\n"
        "    def prepare(self, style):\n"
        "        return lambda photo: photo * self.share\n"
        "class Broken(Dark):\n"
        "    def prepare(self, style):\n"
        "        raise RuntimeError('out of memory')\n"
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_failing_references_are_reported(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["bench", "adaptation", "--content", "photos", "--style", "paintings", "--size", "64"]
    arguments += [
        "--style-size",
        "64",
        "--steps",
        "0,1",
        "--variant",
        "tiny: model=random size=64 schedule=constant",
    ]
    arguments += ["--reference", "dark_for_a_test:Dark", "--reference-paintings", "1", "-o", "out", "--json"]
    assert main([*arguments, "--reference", "dark_for_a_test:Broken"]) == 1
    said = capsys.readouterr()
    failure = {"reference": "dark_for_a_test:Broken", "painting": "0", "error": "out of memory"}
    assert json.loads(said.out)["errors"] == [failure]
    assert "dark_for_a_test:Broken, 0: out of memory" in said.err
    assert main(arguments) == 0
    written = (folders / "out" / "table.md").read_text(encoding="utf-8")
    assert "| painting | variant | 0 steps | 1 steps | dark_for_a_test:Dark |" in written
    assert "| tiny | **all 1** |" in written
    capsys.readouterr()
    assert main([*arguments, "--weights", "wieghts"]) == 0  # no system needs them
    arguments[arguments.index("out")] = "another"
    assert main([*arguments, "--reference", "wct", "--weights", "wieghts"]) == 2
    assert not (folders / "another").exists()
    assert "wieghts: no such folder of trained weights" in capsys.readouterr().err


def test_the_grid_leaves_out_systems_that_fail(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["bench", "grid", "--content", "photos", "--style", "paintings", "--size", "64"]
    arguments += ["--style-size", "64", "-o", "out", "--device", "cpu", "--json", "--quiet"]
    systems = ["--method", "dark_for_a_test:Dark", "--method", "dark_for_a_test:Broken"]
    assert main([*arguments, *systems]) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["errors"] == [{"method": "dark_for_a_test:Broken", "error": "out of memory"}]
    with Image.open(said["outputs"][0]["output"]) as shown:
        assert shown.width == 3 * 264 + 8  # photograph, painting, one system
    painted = sorted(path.stem for path in (folders / "out" / "pictures").rglob("*.png"))
    assert painted == ["0", "1"]  # each photograph in one painting only
    assert main([*arguments, *systems[:2]]) == 0
    capsys.readouterr()
    arguments[arguments.index("64")] = "96"
    assert main(arguments) == 2
    assert (
        "results of another photograph '0' (64x64, this one is 96x96)"
        in json.loads(capsys.readouterr().out)["errors"][0]["error"]
    )


def test_the_default_painting_of_speed_is_a_stylized_photograph(monkeypatch: pytest.MonkeyPatch) -> None:
    painted = object()
    monkeypatch.setattr("metastyle.api.stylize", lambda picture, style: (painted, picture, style))
    photo, painting = _pictures(None, None)
    assert painting == (painted, photo, STYLE) and builtin_path(STYLE) is not None


def test_speed_by_default_leaves_out_slow_and_failing_systems(
    folders: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two systems of this test replace those of the package, which would take minutes."""
    monkeypatch.setattr("metastyle.bench.speed.QUICK", ("dark_for_a_test:Dark", "dark_for_a_test:Broken"))
    arguments = ["bench", "speed", "--size", "64", "--rounds", "1", "--device", "cpu", "--json", "--quiet"]
    arguments += ["--style", "paintings/0.png"]
    assert main([*arguments, "-o", "one"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [(row["method"], row["size"], row["alone"]) for row in said["rows"]] == [
        ("dark_for_a_test:Dark", 64, True)
    ]
    assert said["rows"][0]["seconds"] > 0 and said["rows"][0]["memory"] >= 0
    assert said["left_out"]["dark_for_a_test:Broken"] == "out of memory"
    slow = [name for name in said["left_out"] if "gatys" in name]
    assert len(slow) == 1 and "johnson" in slow[0] and "--all" in said["left_out"][slow[0]]
    written = (folders / "one" / "speed.md").read_text(encoding="utf-8")
    assert "| Dark |" in written and "Left out: dark_for_a_test:Broken: out of memory." in written
    # A system requested by name is not left out.
    assert main([*arguments, "-o", "two", "--method", "dark_for_a_test:Broken"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["rows"][0]["error"] == said["errors"][0]["error"] == "out of memory" and not said["left_out"]


def test_the_protocol_can_be_sharded_resumed_and_judged_by_eye(
    folders: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    encoder = Encoder(5)
    tensors = {layer: torch.rand(width) for layer, width in WIDTHS.items()}
    for name in CONVOLUTIONS:
        tensors |= {f"{name}.weight": torch.rand(512, 512, 3, 3), f"{name}.bias": torch.rand(512)}
    monkeypatch.setattr(Encoder, "load", lambda **_: encoder)
    monkeypatch.setattr("metastyle.weights.lpips.load_lpips", lambda **_: tensors)
    arguments = ["bench", "protocol", "--content", "photos", "--style", "paintings", "--size", "176"]
    arguments += ["--style-size", "64", "-o", "out", "--device", "cpu", "--json", "--quiet"]
    arguments += ["--method", "dark_for_a_test:Dark share=0.9"]
    assert main([*arguments, "--shard", "2/2"]) == 0
    assert "| Dark | 2 |" in (folders / "out" / "protocol.md").read_text(encoding="utf-8")
    assert main([*arguments, "--method", "dark_for_a_test:Broken"]) == 1
    outputs = [
        Path(o["output"]).name for o in json.loads(capsys.readouterr().out.splitlines()[-1])["outputs"]
    ]
    written = (folders / "out" / "protocol.md").read_text(encoding="utf-8")
    assert outputs == ["protocol.md", "curves.svg"]
    assert "| dark_for_a_test:Dark share=0.9 | 4 |" in written  # two systems have this name
    assert "| (the photograph) | 4 |" in written and "| (the painting) | 4 |" in written
    assert "| dark_for_a_test:Broken | 0 | out of memory |" in written
    assert "2 photographs x 2 paintings; photographs 176 x 176, paintings long edge 64 pixels." in written
    assert len(list((folders / "out" / "pictures").rglob("*.png"))) == 12
    assert main([*arguments, "--shard", "3/2"]) == 2
    capsys.readouterr()
    compared = ["bench", "look", "out", "--method", "null painting", "--json", "-o", "look"]
    assert main([*compared, "--against", "null photograph", "--pairs", "3"]) == 0
    outputs = json.loads(capsys.readouterr().out)["outputs"]
    assert [Path(o["output"]) for o in outputs] == [Path("look/look.html"), Path("look/key.json")]
    key = json.loads(Path("look/key.json").read_text(encoding="utf-8"))
    chosen = {"page": key["page"], "choices": [side for _, _, side in key["pairs"]]}
    Path("answers.json").write_text(json.dumps(chosen), encoding="utf-8")
    assert main([*compared, "--score", "answers.json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["ours"], found["other"], found["undecided"]) == (3, 0, 0)
    assert found["interval"] == [pytest.approx(0.4385, abs=1e-4), 1.0]
    assert main(compared) == 2 and "--against METHOD" in capsys.readouterr().err


def test_a_report_is_made_from_measurements(
    folders: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    encoder = Encoder(5)
    monkeypatch.setattr(Encoder, "load", lambda **_: encoder)
    common = ["--device", "cpu", "--json", "--quiet"]
    for share in ("0.5", "0.9"):
        common += ["--method", f"dark_for_a_test:Dark share={share}"]
    pictures = ["--content", "photos", "--style", "paintings", "--size", "176", "--style-size", "64"]
    assert main(["bench", "quality", *pictures, "--photos", "1", *common]) == 0
    single = ["--content", "photos/0.png", "--style", "paintings/0.png", "--size", "64", "--rounds", "1"]
    monkeypatch.setattr(sys, "argv", ["metastyle", "bench", "speed", *single, *common])
    assert main() == 0
    capsys.readouterr()
    assert main(["bench", "report", "--json", "--quiet"]) == 0
    outputs = [Path(o["output"]) for o in json.loads(capsys.readouterr().out)["outputs"]]
    written = outputs[1].read_text(encoding="utf-8")
    assert "| dark_for_a_test:Dark share=0.5 | 2 |" in written
    assert "most structure kept: dark_for_a_test:Dark share=0.9 (" in written
    assert "metastyle bench speed --content 0.png" in written and str(folders) not in written
    assert main(["bench", "report", "nowhere", "--quiet"]) == 2
    assert "nowhere: has no results" in capsys.readouterr().err
