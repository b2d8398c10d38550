"""Who is let in: the Bearer key against the configured lists. No key is ever repeated."""

from starlette.datastructures import Headers

from batch_assets.local.batch_server.api_errors import ApiError
from batch_assets.local.batch_server.fault_rules import Operation
from batch_assets.local.batch_server.live_config import LiveConfig

_COSTS_MONEY = frozenset({"batches.create", "chat"})


def authorize(headers: Headers, config: LiveConfig, operation: Operation) -> None:
    """Raise OpenAI's 401, 403 or 429 `insufficient_quota` unless the key may do this."""
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
