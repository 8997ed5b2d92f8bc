"""MMPose configs: found by their name or their path, checked, then loaded by mmengine."""

import importlib.util
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from quantkit.errors import InputError, Unavailable
from quantkit.model.mmlab.config_guard import check_config_file, check_imports, check_types
from quantkit.model.mmlab.shims import quiet
from quantkit.optional import require

_NESTING = 32
_INSTALLED_AS = {"mmcls": "'mmcls>=1.0.0rc6'", "mmseg": "mmsegmentation"}


def find_config(config: str) -> Path:
    """Find a config file.

    Args:
        config: A path to a .py file, or the name of a config that MMPose ships.

    Raises:
        InputError: There is no such config, or the name is not unique.
        Unavailable: MMPose is not installed.
    """
    if config.endswith(".py") or Path(config).is_file():
        path = Path(config)
        if not path.is_file():
            message = "does not exist"
            raise InputError(message, path=path)
        return path
    found = sorted(shipped_folder().rglob(f"{config}.py")) if _is_name(config) else []
    if len(found) != 1:
        message = f"is not a file, and MMPose ships {len(found) or 'no'} config of that name"
        raise InputError(message, path=config)
    return found[0]


def load_config(config: str) -> Any:
    """Load a config, without the modules that it asks for.

    Args:
        config: A path to a .py file, or the name of a config that MMPose ships.

    Returns:
        An `mmengine.config.Config`.

    Raises:
        InputError: There is no such config, it holds code, or mmengine refuses it.
        Unavailable: MMPose is not installed.
    """
    path = find_config(config)
    _check_chain(path, ())
    engine = require("mmengine.config", extra="mmpose", purpose="An mmpose config")
    try:
        with quiet():
            loaded = engine.Config.fromfile(
                path,
                use_predefined_variables=_is_shipped(path),
                use_environment_variables=False,
                import_custom_modules=False,
                lazy_import=False,
            )
    except Exception as error:
        message = f"mmengine cannot load it: {type(error).__name__}: {_one_line(error)}"
        raise InputError(message, path=path) from error
    model = loaded.get("model")
    if model is None:
        message = "has no 'model'"
        raise InputError(message, path=path)
    check_types(model.to_dict(), str(path))
    check_imports(_wanted(loaded), str(path))
    return loaded


def import_custom_modules(loaded: Any, config: str) -> None:
    """Import the modules that a config asks for in `custom_imports`, so that they register.

    Args:
        loaded: What `load_config` returned.
        config: The config, for the message.

    Raises:
        InputError: A module is not allowed, or cannot be imported.
    """
    for module in check_imports(_wanted(loaded), config):
        try:
            with quiet():
                importlib.import_module(module)
        except ImportError as error:
            message = f"custom_imports names '{module}', which cannot be imported: {error}"
            raise InputError(message, path=config) from error


def missing_packages(loaded: Any) -> str | None:
    """Name the packages that a config's network needs and that are not installed.

    Args:
        loaded: What `load_config` returned.

    Returns:
        What needs each and how it is installed; None where none is missing.
    """
    needs = {name.partition(".")[0]: f"custom_imports of {name}" for name in _names(loaded)}
    needs |= dict(_scoped(loaded.model.to_dict()))
    absent = [name for name in needs if name != "quantkit" and not importlib.util.find_spec(name)]
    if not absent:
        return None
    reasons = ", ".join(f"'{name}' ({needs[name]})" for name in absent)
    remedy = " ".join(_INSTALLED_AS.get(name, name) for name in absent)
    return f"its network needs {reasons}: pip install {remedy}"


def _names(loaded: Any) -> tuple[str, ...]:
    wanted = _wanted(loaded)
    return (wanted,) if isinstance(wanted, str) else tuple(wanted)


def _scoped(value: object) -> Iterator[tuple[str, str]]:
    """Find the packages that types are taken from: `mmpretrain.VisionTransformer`, or by scope."""
    if isinstance(value, Mapping):
        kind = value.get("type")
        if isinstance(kind, str):
            scope = kind.rpartition(".")[0] or value.get("_scope_")
            if isinstance(scope, str) and scope:
                yield scope.partition(".")[0], f"type {kind}"
        for item in value.values():
            yield from _scoped(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _scoped(item)


def config_files(config: str) -> tuple[Path, ...]:
    """List the files that a config is made of, its `_base_` included, without running any.

    Args:
        config: A path to a .py file, or the name of a config that MMPose ships. Files of MMPose's
            own are named once, and stand for the installed version.

    Raises:
        InputError: There is no such config, or it holds code.
        Unavailable: MMPose is not installed.
    """
    return tuple(_check_chain(find_config(config), ()))


def _check_chain(path: Path, above: tuple[Path, ...]) -> list[Path]:
    # What lies in the installed package is code that is run anyway.
    if _is_shipped(path):
        return [path]
    if len(above) > _NESTING or path.resolve() in above:
        message = "its _base_ files form a cycle"
        raise InputError(message, path=path)
    if not path.is_file():
        message = f"does not exist, but is a _base_ of {above[-1].name}"
        raise InputError(message, path=path)
    files = [path]
    for base in check_config_file(path):
        if not base.endswith(".py"):
            message = f"_base_ must name .py files, got '{base}'"
            raise InputError(message, path=path)
        files += _check_chain(_base_file(base, path), (*above, path.resolve()))
    return files


def _base_file(base: str, path: Path) -> Path:
    scope, separator, inside = base.partition("::")
    if not separator:
        return path.parent / base
    if scope != "mmpose":
        message = f"_base_ may be a file or 'mmpose::FILE', got '{base}'"
        raise InputError(message, path=path)
    return shipped_folder() / inside


def _wanted(loaded: Any) -> Any:
    wanted = loaded.get("custom_imports")
    return wanted.get("imports", ()) if hasattr(wanted, "get") else wanted or ()


def shipped_folder() -> Path:
    """Find the folder of the configs that MMPose ships.

    Raises:
        Unavailable: MMPose is not installed.
    """
    # Found, not imported: importing MMPose takes seconds.
    found = importlib.util.find_spec("mmpose")
    if found is None or found.origin is None:
        message = "An mmpose config needs 'mmpose': pip install 'quantkit[mmpose]'"
        raise Unavailable(message)
    return Path(found.origin).parent / ".mim" / "configs"


def _is_shipped(path: Path) -> bool:
    return path.resolve().is_relative_to(shipped_folder().resolve())


def _is_name(config: str) -> bool:
    return bool(config) and not set(config) & set("/\\*?[]")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
