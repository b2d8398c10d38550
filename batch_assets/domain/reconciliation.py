"""A month's cost as we know it beside what the provider's invoice says."""

from collections.abc import Sequence
from dataclasses import dataclass

from batch_assets.domain.display import plural


@dataclass(frozen=True, slots=True)
class ModelCost:
    """What the batches of one model have cost that were sent in a month."""

    model: str
    """Empty where LiveDash made the batches."""
    cost_usd: float | None
    """Of the answers; `None` where not all USD are known, or of no answer."""
    cost_eur: float
    unattributed_usd: float
    duplicates_usd: float
    abandoned_usd: float
    estimated_usd: float
    """The part of these that is an estimate."""
    unpriced_answers: int
    open_batches: int

    @property
    def billed_usd(self) -> float:
        """All that is known to be billed."""
        return (
            (self.cost_usd or 0.0)
            + self.unattributed_usd
            + self.duplicates_usd
            + self.abandoned_usd
        )


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """Both figures, and what may lie between them.

    A provider reckons by the day on which work was done, in UTC; we by that on which it was sent.
    So the invoice agrees if it is near the one or the other sum.
    """

    models: Sequence[ModelCost]
    invoice_usd: float
    tolerance_percent: float
    ended_after_usd: float
    """Of what was sent in the month, what ended after it or has not ended."""
    sent_before_usd: float
    """Of what ended in the month, what was sent before it."""

    @property
    def billed_usd(self) -> float:
        """By the day of sending."""
        return sum(one.billed_usd for one in self.models)

    @property
    def billed_by_end_usd(self) -> float:
        """By the day on which batches have ended."""
        return self.billed_usd - self.ended_after_usd + self.sent_before_usd

    @property
    def difference_usd(self) -> float:
        """What the invoice says more than the nearer of the two sums."""
        sums = (self.billed_usd, self.billed_by_end_usd)
        return min((self.invoice_usd - one for one in sums), key=abs)

    @property
    def total(self) -> ModelCost:
        """The sums over all models, as one that is called Total."""
        known = [one.cost_usd for one in self.models if one.cost_usd is not None]
        return ModelCost(
            model="Total",
            cost_usd=sum(known) if len(known) == len(self.models) else None,
            cost_eur=sum(one.cost_eur for one in self.models),
            unattributed_usd=sum(one.unattributed_usd for one in self.models),
            duplicates_usd=sum(one.duplicates_usd for one in self.models),
            abandoned_usd=sum(one.abandoned_usd for one in self.models),
            estimated_usd=sum(one.estimated_usd for one in self.models),
            unpriced_answers=sum(one.unpriced_answers for one in self.models),
            open_batches=sum(one.open_batches for one in self.models),
        )

    @property
    def agrees(self) -> bool:
        """Whether they differ by no more than the tolerance, of the invoice."""
        return abs(self.difference_usd) <= self.invoice_usd * self.tolerance_percent / 100 + 1e-9

    @property
    def verdict(self) -> str:
        """One sentence on both."""
        off = self.difference_usd
        part = f" ({abs(off) / self.invoice_usd:.2%})" if self.invoice_usd else ""
        how = f"{abs(off):,.4f} USD{part} {'more' if off > 0 else 'less'} than what is known here"
        if self.agrees:
            return f"They agree: the invoice has {how}, within {self.tolerance_percent:g} %."
        return f"They differ: the invoice has {how}, and {self.tolerance_percent:g} % is allowed."

    @property
    def explanations(self) -> list[str]:
        """A sentence on each thing that may lie between them, with its size where it is known."""
        said = []
        total = self.total
        if total.unpriced_answers:
            said.append(
                f"The cost of {plural(total.unpriced_answers, 'answer')} is not known, and in no "
                "sum: there is no price for the model (BATCH_MODEL_PRICES gives it one), or the "
                "server counted no tokens."
            )
        euros = sum(one.cost_eur for one in self.models if one.cost_usd is None)
        if euros:
            said.append(
                f"Of {euros:,.4f} EUR not all USD are known: they were read before USD were kept."
            )
        if total.estimated_usd:
            said.append(
                f"{total.estimated_usd:,.4f} USD are an estimate: the server has not said what it "
                "has billed."
            )
        if total.open_batches:
            batches = plural(total.open_batches, "open batch", "open batches")
            said.append(f"The cost of {batches} of the month is to come.")
        if self.ended_after_usd or self.sent_before_usd:
            said.append(
                "At the month's borders (UTC): the provider counts work by the day on which it was "
                f"done. {self.ended_after_usd:,.4f} USD were sent in the month and ended after it, "
                f"{self.sent_before_usd:,.4f} USD were sent before and ended in it."
            )
        if not self.agrees and self.difference_usd > 0:
            said.append(
                "What other programs have asked for with keys of the same organization, and taxes, "
                "are on the invoice and not here."
            )
        if not self.agrees and self.difference_usd < 0:
            said.append(
                "A price here may be too high, or the invoice be of one of several keys, or have a "
                "credit on it: `batch-assets batch` shows which price a batch has."
            )
        return said
