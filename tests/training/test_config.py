import ast
from pathlib import Path

import pytest

from metastyle.core.checks import SettingError
from metastyle.training import config
from metastyle.training.config import ObjectiveConfig


def test_learned_step_sizes_need_inner_steps() -> None:
    with pytest.raises(SettingError, match="learn_step_sizes is True: use false where inner_steps is 0"):
        ObjectiveConfig(learn_step_sizes=True, inner_steps=0)


def test_every_setting_is_documented() -> None:
    assert config.__file__ is not None
    tree = ast.parse(Path(config.__file__).read_text(encoding="utf-8"))
    for cls in (
        node for node in tree.body if isinstance(node, ast.ClassDef) and node.name != "TrainingConfig"
    ):
        for field, after in zip(cls.body, cls.body[1:], strict=False):
            if isinstance(field, ast.AnnAssign):
                assert isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant), ast.unparse(
                    field
                )
