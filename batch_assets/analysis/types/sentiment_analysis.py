"""`sentiment_analysis`: the employee's mood, and nothing else."""

from batch_assets.analysis.fields import SentimentField
from batch_assets.analysis.processing_type import Answer, ProcessingType


class SentimentAnalysis(Answer):
    """The employee's mood in one conversation with an HR chatbot."""

    sentiment: SentimentField


TYPE = ProcessingType(
    name="sentiment_analysis",
    answer=SentimentAnalysis,
    writes=("sentiment",),
    expected_tokens=10,
)
