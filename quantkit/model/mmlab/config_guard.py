"""What an MMPose config may contain.

mmengine executes a config file. A config that comes with somebody's checkpoint is therefore read
first, as a syntax tree that is never run: data may stand in it, code may not.
"""

import ast
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from quantkit.errors import InputError
from quantkit.storage import read_text

_CALLS: Final = frozenset({"dict", "list", "tuple", "range"})
_SCOPES: Final = ("mmpose", "mmdet", "mmengine", "mmcv", "mmpretrain", "mmcls", "mmseg", "mmyolo")
_PACKAGES: Final = frozenset({*_SCOPES, "quantkit"})
_TYPE_NAME: Final = re.compile(rf"(({'|'.join(_SCOPES)})\.)?[A-Z]\w*")
_DATA_NODES: Final = (
    ast.Constant,
    ast.Dict,
    ast.List,
    ast.Tuple,
    ast.Set,
    ast.Subscript,
    ast.Slice,
    ast.BinOp,
    ast.UnaryOp,
    ast.BoolOp,
    ast.Compare,
    ast.IfExp,
    ast.ListComp,
    ast.comprehension,
    ast.Starred,
    ast.keyword,
    ast.operator,
    ast.unaryop,
    ast.boolop,
    ast.cmpop,
    ast.expr_context,
)


def check_config_file(path: Path) -> tuple[str, ...]:
    """Refuse a config file that does more than assign data.

    Args:
        path: A .py config.

    Returns:
        The files of its `_base_`, as they are written there; of all of them where there are
        several, because mmengine takes the first.

    Raises:
        InputError: The file holds code or is no Python; the line is named.
    """
    text = read_text(path)
    for number, line in enumerate(text.splitlines(), 1):
        # mmengine replaces these in the text, before it is parsed.
        if "{{" in line:
            message = "an mmpose config may not hold '{{ }}' substitutions here; write the value"
            raise InputError(message, path=path, line=number)
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        message = f"is not a Python config: {error}"
        raise InputError(message, path=path, line=getattr(error, "lineno", None)) from error
    bases: tuple[str, ...] = ()
    names = {"_base_", *_CALLS}
    for statement in tree.body:
        bases += _check_statement(statement, names, path)
    return bases


def check_types(value: object, path: str) -> None:
    """Refuse a `type` that names more than a registered class: mmengine would import it.

    Args:
        value: A loaded config, or a part of it.
        path: The config, for the message.

    Raises:
        InputError: A `type` is not a name, or a scope and a name.

    Example:
        >>> check_types({"backbone": {"type": "os.system"}}, "a.py")
        Traceback (most recent call last):
        quantkit.errors.InputError: a.py: type='os.system' is not the name of a registered class
    """
    if isinstance(value, Mapping):
        kind = value.get("type")
        if kind is not None and not (isinstance(kind, str) and _TYPE_NAME.fullmatch(kind)):
            message = f"type={kind!r} is not the name of a registered class"
            raise InputError(message, path=path)
        for item in value.values():
            check_types(item, path)
    elif isinstance(value, list | tuple):
        for item in value:
            check_types(item, path)


def check_imports(modules: object, path: str) -> tuple[str, ...]:
    """Refuse `custom_imports` of anything but the packages that belong to MMPose or quantkit.

    Args:
        modules: The value of `custom_imports["imports"]`.
        path: The config, for the message.

    Raises:
        InputError: Another module is named.

    Example:
        >>> check_imports(["quantkit.demo.backbone"], "config.py")
        ('quantkit.demo.backbone',)
    """
    names = (modules,) if isinstance(modules, str) else modules
    if not isinstance(names, list | tuple):
        message = "custom_imports must be dict(imports=[names of modules])"
        raise InputError(message, path=path)
    for name in names:
        if not isinstance(name, str) or name.partition(".")[0] not in _PACKAGES:
            allowed = ", ".join(sorted(_PACKAGES))
            message = f"custom_imports may name modules of {allowed} only, got {name!r}"
            raise InputError(message, path=path)
    return tuple(names)


def _check_statement(node: ast.stmt, names: set[str], path: Path) -> tuple[str, ...]:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return ()
    if isinstance(node, ast.AugAssign):
        targets: list[ast.expr] = [node.target]
    elif isinstance(node, ast.Assign):
        targets = node.targets
    else:
        raise _refusal(node, path)
    assert node.value is not None
    _check_value(node.value, names, path)
    for target in targets:
        _check_target(target, names, path)
    if any(isinstance(target, ast.Name) and target.id == "_base_" for target in targets):
        return _bases(node, path)
    return ()


def _check_target(target: ast.expr, names: set[str], path: Path) -> None:
    if isinstance(target, ast.Tuple | ast.List):
        for part in target.elts:
            _check_target(part, names, path)
    elif isinstance(target, ast.Name):
        if target.id in _CALLS or (target.id.startswith("__")):
            raise _refusal(target, path)
        names.add(target.id)
    elif isinstance(target, ast.Subscript):
        _check_value(target, names, path)
    else:
        raise _refusal(target, path)


def _check_value(value: ast.expr, names: set[str], path: Path) -> None:
    local = set(names)
    for node in ast.walk(value):
        if isinstance(node, ast.comprehension):
            _check_target(node.target, local, path)
    for node in ast.walk(value):
        if not _is_data(node, local):
            raise _refusal(node, path, value)


def _is_data(node: ast.AST, names: set[str]) -> bool:
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id in _CALLS
    if isinstance(node, ast.Name):
        return node.id in names
    if isinstance(node, ast.Attribute):
        return _starts_at_base(node) and not node.attr.startswith("_")
    return isinstance(node, _DATA_NODES)


def _starts_at_base(node: ast.expr) -> bool:
    while isinstance(node, ast.Attribute):
        node = node.value
    return isinstance(node, ast.Name) and node.id == "_base_"


def _bases(node: ast.Assign | ast.AugAssign, path: Path) -> tuple[str, ...]:
    try:
        value = ast.literal_eval(node.value)
    except ValueError as error:
        raise _refusal(node, path) from error
    bases = (value,) if isinstance(value, str) else tuple(value)
    if not all(isinstance(base, str) for base in bases):
        raise _refusal(node, path)
    return bases


def _refusal(node: ast.AST, path: Path, near: ast.AST | None = None) -> InputError:
    line = getattr(node, "lineno", getattr(near, "lineno", None))
    what = ast.unparse(node)[:60]
    message = f"an mmpose config may hold data only, not code: {what!r}"
    return InputError(message, path=path, line=line)
