"""Check requests and responses against the models of AWS's services, as botocore ships them."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

from botocore.session import Session
from botocore.validate import ParamValidator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botocore.model import OperationModel, Shape


@cache
def operation(service: str, name: str) -> OperationModel:
    return Session().get_service_model(service).operation_model(name)


def input_errors(service: str, name: str, parameters: dict[str, Any]) -> list[str]:
    """Return what is wrong with the parameters of an operation, as AWS validates them.

    botocore's own validator checks types, required members and minimum lengths. AWS also enforces
    maximum lengths, patterns and enumerations, and knows no other member.
    """
    shape = operation(service, name).input_shape
    report = ParamValidator().validate(parameters, shape)
    found = [report.generate_report()] if report.has_errors() else []
    return [*found, *_errors(shape, parameters, "")]


def output_errors(service: str, name: str, body: dict[str, Any]) -> list[str]:
    """Return what is wrong with the body of a response."""
    return list(_errors(operation(service, name).output_shape, body, ""))


def _errors(shape: Shape, value: Any, where: str) -> Iterator[str]:
    metadata = shape.metadata
    if shape.type_name == "structure" and not getattr(shape, "is_document_type", False):
        for name in value:
            if name not in shape.members:
                yield f"{where}.{name} is unknown"
            else:
                yield from _errors(shape.members[name], value[name], f"{where}.{name}")
    elif shape.type_name == "string":
        if not metadata.get("min", 0) <= len(value) <= metadata.get("max", len(value)):
            limit = f"length less than or equal to {metadata.get('max')}"
            yield f"Value at '{where}' failed to satisfy constraint: Member must have {limit}"
        if not re.fullmatch(_python(metadata.get("pattern", ".*")), value, re.DOTALL):
            yield f"Value at '{where}' failed to satisfy its pattern"
        if value not in (metadata.get("enum") or [value]):
            yield f"Value at '{where}' is not in {metadata['enum']}"
    elif shape.type_name == "integer":
        limits = metadata.get("min", value), metadata.get("max", value)
        if not limits[0] <= value <= limits[1]:
            yield f"Value at '{where}' is not in {limits}"


def _python(pattern: str) -> str:
    r"""Return a pattern of a model for Python, whose `\uXXXXX` has four digits."""
    return re.sub(r"\\u1[0-9A-F]{4}(-\\u1[0-9A-F]{5})?", "", pattern)
