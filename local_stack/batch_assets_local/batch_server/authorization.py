"""Who is let in: the Bearer key against the configured lists. No key is ever repeated."""

from collections.abc import Mapping

from starlette.datastructures import Headers

from batch_assets_local.batch_server.api_errors import ApiError, not_found
from batch_assets_local.batch_server.config import ReloadableConfig
from batch_assets_local.batch_server.fault_rules import Operation

_COSTS_MONEY = frozenset({"batches.create", "chat"})

_OF_ONE_OBJECT: dict[Operation, str] = {
    "files.retrieve": "file_id",
    "files.content": "file_id",
    "files.delete": "file_id",
    "batches.retrieve": "batch_id",
    "batches.cancel": "batch_id",
}


def authorize(headers: Headers, config: ReloadableConfig, operation: Operation) -> None:
    """Refuse a key that may not do this, as OpenAI does.

    Raises:
        ApiError: 401, 403, or 429 `insufficient_quota`.
    """
    scheme, _, key = headers.get("authorization", "").partition(" ")
    key = key.strip()
    keys = config.current.keys
    if scheme.lower() != "bearer" or not key:
        message = (
            "You didn't provide an API key. You need to provide your API key in an Authorization "
            "header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY)."
        )
        raise ApiError(401, message)
    accepted = keys.accepted if config.only_key is None else [config.only_key]
    if key in keys.refused or (accepted is not None and key not in accepted):
        message = (
            "Incorrect API key provided: ****. You can find your API key at "
            "https://platform.openai.com/account/api-keys."
        )
        raise ApiError(401, message, code="invalid_api_key")
    if key in keys.forbidden:
        message = "You have insufficient permissions for this operation."
        raise ApiError(403, message)
    if key in keys.without_quota and operation in _COSTS_MONEY:
        message = (
            "You exceeded your current quota, please check your plan and billing details. For "
            "more information on this error, read the docs: "
            "https://platform.openai.com/docs/guides/error-codes/api-errors."
        )
        raise ApiError(429, message, kind="insufficient_quota", code="insufficient_quota")


def is_of_another_project(headers: Headers, config: ReloadableConfig) -> bool:
    """Whether the key is let in and yet finds nothing that was made under the others."""
    key = headers.get("authorization", "").partition(" ")[2].strip()
    return key in config.current.keys.of_another_project


def look_elsewhere(operation: Operation, path_params: Mapping[str, str]) -> None:
    """Refuse, as an object of another project is refused.

    Raises:
        ApiError: 404.
    """
    name = _OF_ONE_OBJECT.get(operation)
    if name == "file_id":
        raise not_found(f"No such File object: {path_params[name][:64]}")
    if name == "batch_id":
        raise not_found(f"No batch found with id '{path_params[name][:80]}'.", param=None)
