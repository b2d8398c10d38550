"""`categorization`: the category of the employee's concern, and nothing else."""

from batch_assets.analysis.fields import CategoryField
from batch_assets.analysis.processing_type import Answer, ProcessingType


class Categorization(Answer):
    """The category of one conversation between an employee and an HR chatbot."""

    category: CategoryField


TYPE = ProcessingType(
    name="categorization",
    answer=Categorization,
    writes=("category",),
    expected_tokens=10,
)
