"""The servers that are known. Each record cites the document by its title.

A fact that is nowhere written is left as the API that all others copy has it.
"""

from dataclasses import replace
from typing import Final

from batch_assets.openai_batch.profiles.profile import Profile

DEFAULT_BASE_URL: Final = "https://api.openai.com/v1"

COMPATIBLE: Final = Profile(
    name="compatible",
    source="OpenAI: API reference, as far as a server follows it",
)
"""Whoever is not known by name."""

OPENAI: Final = Profile(
    name="openai",
    source="OpenAI: Batch API guide, and API reference for batches and files",
    hosts=("api.openai.com",),
)

AZURE: Final = Profile(
    name="azure",
    source="Azure OpenAI: Getting started with batch deployments, and quotas and limits",
    hosts=(
        "openai.azure.com",
        "openai.azure.us",
        "services.ai.azure.com",
        "cognitiveservices.azure.com",
    ),
    path="/openai/v1",
    endpoint="/chat/completions",
    max_requests=100_000,
    # Files without an expiry count against a much smaller number of files.
    output_expires_seconds=(14 * 86_400, 30 * 86_400),
)
"""Its v1 API. An uploaded file is `pending` first, and a batch that takes longer does not expire:
BATCH_TIMEOUT_HOURS ends it."""

AZURE_DATED: Final = replace(
    AZURE,
    name="azure-dated",
    source="Azure OpenAI: Getting started with batch deployments, and API version lifecycle",
    path="",
    is_dated=True,
)
"""The API whose version is a date, `api-version`."""

DASHSCOPE: Final = Profile(
    name="dashscope",
    source="Alibaba Cloud Model Studio: OpenAI compatible - Batch (file input)",
    hosts=(
        "dashscope.aliyuncs.com",
        "dashscope-intl.aliyuncs.com",
        "dashscope-us.aliyuncs.com",
        "dashscope-finance.aliyuncs.com",
    ),
    windows=("24h", "48h", "72h", "168h", "336h"),
    max_file_bytes=500_000_000,
    price_list=None,
    output_expires_seconds=None,
)

GROQ: Final = Profile(
    name="groq",
    source="Groq: Batch API, and API reference",
    hosts=("api.groq.com",),
    windows=("24h", "7d"),
    price_list="groq",
    output_expires_seconds=None,
)

TOGETHER: Final = Profile(
    name="together",
    source="Together AI: Batch inference, and the types of its Python SDK",
    hosts=("api.together.ai", "api.together.xyz"),
    purpose="batch-api",
    upload_path="/files/upload",
    names_file_apart=True,
    lines_say_where=False,
    max_file_bytes=100_000_000,
    price_list="together",
    # Half the price is for some models only: what is not on a list of those may cost all of it.
    price_factor=1.0,
    output_expires_seconds=None,
    has_metadata=False,
)

OPENROUTER: Final = Profile(
    name="openrouter",
    source="OpenRouter: Batch API quickstart",
    hosts=("openrouter.ai",),
    price_list="openrouter",
    output_expires_seconds=None,
    has_file_list=False,
    has_delete=False,
    why_no_batches=(
        "OpenRouter takes the requests of a batch within one call, not in a file that is uploaded "
        "first: this project sends it none. Set OPENAI_BASE_URL to a server that takes files, or "
        "let single requests be sent live (BATCH_LIVE_RETRIES)."
    ),
)

PROFILES: Final = (
    OPENAI,
    AZURE,
    AZURE_DATED,
    DASHSCOPE,
    GROQ,
    TOGETHER,
    OPENROUTER,
    COMPATIBLE,
)
"""In the order in which a URL is compared with them."""
