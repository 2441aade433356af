"""Whether a JSON Schema asks anything of an answer. Pure."""

from collections.abc import Mapping
from typing import Any

#: Of these one that does has one at least; `dependencies` and `$recursiveRef` are of older drafts.
_ASKING = {
    *("$ref", "$dynamicRef", "$recursiveRef", "type", "enum", "const", "format"),
    *("properties", "required", "patternProperties", "additionalProperties", "propertyNames"),
    *("minProperties", "maxProperties", "unevaluatedProperties"),
    *("dependentRequired", "dependentSchemas", "dependencies"),
    *(
        "items",
        "prefixItems",
        "contains",
        "minItems",
        "maxItems",
        "uniqueItems",
        "unevaluatedItems",
    ),
    *("allOf", "anyOf", "oneOf", "not", "if"),
    *("pattern", "minLength", "maxLength"),
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}


def constrains(schema: Mapping[str, Any]) -> bool:
    """Whether there may be an answer that does not satisfy it."""
    return not _ASKING.isdisjoint(schema)
