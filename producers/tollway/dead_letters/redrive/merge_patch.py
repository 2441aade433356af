"""JSON Merge Patch (RFC 7396). Pure."""

from typing import Any


def merged(target: Any, patch: Any) -> Any:
    """`target` as `patch` changes it: null takes a member out; lists and values are replaced.

    Neither is changed.
    """
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result
