"""Checking a file for `serve deploy` before it is deployed.

Serve passes over keys that it does not know, at every level but one; a setting that is misspelt would
then quietly be another. What stands under `args` is this application's own and checked by itself.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError
from ray.serve.schema import ServeDeploySchema

from deployments.errors import ConfigurationError
from serve_app.settings import Settings, load_settings


def check_serve_config(file: Path) -> Settings:
    """Return the settings of the first application that a file would deploy; those of all are looked at.

    Args:
        file: YAML as `serve deploy` takes it.

    Raises:
        ConfigurationError: it can't be read, a key is unknown, or a value can't be; the message names each.
    """
    try:
        config = yaml.safe_load(file.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise ConfigurationError(f"{file} can't be read: {error}") from error
    return check_serve_tree(config, str(file))


def check_serve_tree(config: Any, name: str) -> Settings:
    """Return the settings in a tree as `serve deploy` takes it; see `check_serve_config`.

    Args:
        config: the tree.
        name: what messages call it.

    Raises:
        ConfigurationError: a key is unknown or a value can't be.
    """
    try:
        known = ServeDeploySchema.model_validate(config)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ConfigurationError(f"{name} is no configuration for Serve: {faults}.") from error
    unknown = sorted(_unknown(ServeDeploySchema, config, ""))
    if unknown:
        raise ConfigurationError(f"{name} has keys that Serve would pass over: {', '.join(unknown)}.")
    if not known.applications:
        raise ConfigurationError(f"{name} has no application.")
    settings, *_ = [load_settings(nested(application.args)) for application in known.applications]
    return settings


def nested(args: dict[str, Any]) -> dict[str, Any]:
    """Return a tree of `{"a.b": 1, "a": {"c": 2}}`."""
    tree: dict[str, Any] = {}
    for path, value in args.items():
        *parents, last = path.split(".")
        branch = tree
        for parent in parents:
            branch = branch.setdefault(parent, {})
        branch[last] = {**branch.get(last, {}), **value} if isinstance(value, dict) else value
    return tree


def _unknown(model: type[BaseModel], tree: Any, path: str) -> Iterator[str]:
    """Yield the paths of keys that a model, or a model within it, has no field for."""
    if not isinstance(tree, Mapping):
        return
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    for key, value in tree.items():
        if key not in fields:
            yield f"{path}{key}"
            continue
        for inner in _models(fields[key].annotation):
            items = enumerate(value) if isinstance(value, list) else [("", value)]
            for index, item in items:
                place = f"{path}{key}[{index}]." if isinstance(value, list) else f"{path}{key}."
                yield from _unknown(inner, item, place)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the models within a type, such as that of `list[Model] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)
