"""`session_analysis`: what LiveDash's own batches stored of a session."""

from batch_assets.analysis.fields import (
    CategoryField,
    LanguageField,
    SentimentField,
    SummaryField,
)
from batch_assets.analysis.processing_type import Answer, ProcessingType


class SessionAnalysis(Answer):
    """The short analysis of one conversation between an employee and an HR chatbot."""

    sentiment: SentimentField
    category: CategoryField
    summary: SummaryField
    language: LanguageField


TYPE = ProcessingType(
    name="session_analysis",
    prompt=(
        "You analyse conversations between employees and their company's HR chatbot. Say in what "
        "mood the employee was, which category the matter belongs to, what the conversation was "
        "about, and in which language the employee writes. Judge by what is written only; do not "
        "guess."
    ),
    answer=SessionAnalysis,
    writes=("sentiment", "category", "summary", "language"),
    expected_tokens=100,
)
