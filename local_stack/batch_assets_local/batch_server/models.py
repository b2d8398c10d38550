"""The models that this server knows: their snapshots, limits and what they refuse."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from batch_assets_local.batch_server.api_errors import ApiError


@dataclass(frozen=True, slots=True)
class Model:
    """One model. Windows are in tokens; `snapshot` is the dated name that answers carry."""

    id: str
    snapshot: str
    context_window: int
    max_output: int
    reasoning: bool = False
    structured: bool = True
    """Whether it takes a JSON schema."""
    json_mode: bool = True
    flex: bool = False
    """Whether it answers by the service tier `flex`."""

    def as_json(self) -> dict[str, Any]:
        """The object that `GET /v1/models` shows."""
        return {"id": self.id, "object": "model", "created": 1715367049, "owned_by": "system"}


_KNOWN = (
    Model("gpt-3.5-turbo", "gpt-3.5-turbo-0125", 16_385, 4_096, structured=False),
    Model("gpt-4", "gpt-4-0613", 8_192, 8_192, structured=False, json_mode=False),
    Model("gpt-4-turbo", "gpt-4-turbo-2024-04-09", 128_000, 4_096, structured=False),
    Model("gpt-4o", "gpt-4o-2024-08-06", 128_000, 16_384),
    Model("gpt-4o-mini", "gpt-4o-mini-2024-07-18", 128_000, 16_384),
    Model("gpt-4.1", "gpt-4.1-2025-04-14", 1_047_576, 32_768),
    Model("gpt-4.1-mini", "gpt-4.1-mini-2025-04-14", 1_047_576, 32_768),
    Model("gpt-4.1-nano", "gpt-4.1-nano-2025-04-14", 1_047_576, 32_768),
    Model("o1", "o1-2024-12-17", 200_000, 100_000, reasoning=True),
    Model("o3", "o3-2025-04-16", 200_000, 100_000, reasoning=True, flex=True),
    Model("o3-mini", "o3-mini-2025-01-31", 200_000, 100_000, reasoning=True),
    Model("o4-mini", "o4-mini-2025-04-16", 200_000, 100_000, reasoning=True, flex=True),
    Model("gpt-5", "gpt-5-2025-08-07", 400_000, 128_000, reasoning=True, flex=True),
    Model("gpt-5-mini", "gpt-5-mini-2025-08-07", 400_000, 128_000, reasoning=True, flex=True),
    Model("gpt-5-nano", "gpt-5-nano-2025-08-07", 400_000, 128_000, reasoning=True, flex=True),
    Model("gpt-5.1", "gpt-5.1-2025-11-13", 400_000, 128_000, reasoning=True, flex=True),
)


class Catalog:
    """Finds a model by its name or by its snapshot's."""

    def __init__(self, extra: Iterable[Model] = ()) -> None:
        """Know the usual models and the extra ones, which win where names meet."""
        self._models = {model.id: model for model in (*_KNOWN, *extra)}
        self._names = {model.snapshot: model for model in self._models.values()} | self._models

    def __iter__(self) -> Iterator[Model]:
        return iter(self._models.values())

    def find(self, name: str) -> Model | None:
        """The model of that name, or None."""
        return self._names.get(name)

    def require(self, name: str) -> Model:
        """The model of that name.

        Raises:
            ApiError: it is unknown: 404 `model_not_found`.
        """
        model = self.find(name)
        if model is None:
            message = f"The model `{name[:64]}` does not exist or you do not have access to it."
            raise ApiError(404, message, code="model_not_found")
        return model
