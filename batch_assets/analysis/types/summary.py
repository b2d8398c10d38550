"""`summary`: what the conversation was about, and nothing else."""

from batch_assets.analysis.fields import SummaryField
from batch_assets.analysis.processing_type import Answer, ProcessingType


class Summary(Answer):
    """The summary of one conversation between an employee and an HR chatbot."""

    summary: SummaryField


TYPE = ProcessingType(
    name="summary",
    answer=Summary,
    writes=("summary",),
    expected_tokens=40,
)
