"""`session_analysis`: all that LiveDash keeps of a session, and the only type that it makes."""

from batch_assets.analysis.fields import (
    CategoryField,
    EscalatedField,
    ForwardedHrField,
    LanguageField,
    QuestionsField,
    SentimentField,
    SummaryField,
)
from batch_assets.analysis.processing_type import Answer, ProcessingType


class SessionAnalysis(Answer):
    """The whole analysis of one conversation between an employee and an HR chatbot."""

    language: LanguageField
    sentiment: SentimentField
    escalated: EscalatedField
    forwarded_hr: ForwardedHrField
    category: CategoryField
    questions: QuestionsField
    summary: SummaryField


TYPE = ProcessingType(
    name="session_analysis",
    answer=SessionAnalysis,
    writes=tuple(SessionAnalysis.model_fields),
    expected_tokens=100,
    formerly=frozenset({"sentiment", "category", "summary", "language"}),
)
