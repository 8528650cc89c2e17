from typing import Any

class Shape:
    type_name: str
    metadata: dict[str, Any]
    members: dict[str, Shape]

class OperationModel:
    input_shape: Shape
    output_shape: Shape

class ServiceModel:
    def operation_model(self, operation_name: str) -> OperationModel: ...
