"""`full_analysis`: everything that LiveDash keeps of a session."""

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


class FullAnalysis(Answer):
    """The analysis of one conversation between an employee and an HR chatbot."""

    language: LanguageField
    sentiment: SentimentField
    escalated: EscalatedField
    forwarded_hr: ForwardedHrField
    category: CategoryField
    questions: QuestionsField
    summary: SummaryField


TYPE = ProcessingType(
    name="full_analysis",
    prompt=(
        "You analyse conversations between employees and their company's HR chatbot. Say in which "
        "language the employee writes, in what mood, whether the bot passed the employee on to a "
        "person, whether it sent the employee to the HR department, which category the matter "
        "belongs to, which questions the employee asked, and what the conversation was about. "
        "Judge by what is written only; do not guess."
    ),
    answer=FullAnalysis,
    writes=(
        "language",
        "sentiment",
        "escalated",
        "forwarded_hr",
        "category",
        "questions",
        "summary",
    ),
    expected_tokens=170,
)
