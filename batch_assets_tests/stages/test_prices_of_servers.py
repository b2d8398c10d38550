"""What a model costs that a server calls by a name of its own: never nothing."""

from collections.abc import Callable
from typing import Any

import pytest

from batch_assets.cli.status import savings
from batch_assets.domain.money import Price, read_price
from batch_assets.domain.policy import Caps
from batch_assets.openai_batch.prices import price_finder
from batch_assets.openai_batch.profiles import profile_of
from batch_assets.ops.controls.batches import entries
from batch_assets.ops.sentences import of_reading, of_sending
from batch_assets.stages.abandoned import AbandonedReport
from batch_assets.store.lookups import Lookups
from batch_assets_tests.stages.support import Lab

OTHERS_NAME = "openai/gpt-4o-mini"
DEPLOYMENT = "my-mini"


def served(*names: str) -> dict[str, Any]:
    """The server knows models by these names."""
    return {"models": [{"id": name} for name in names]}


def test_what_no_price_list_knows_is_unknown_and_not_nothing(lab: Lab) -> None:
    lab.configure(**served(OTHERS_NAME))
    _, ids = lab.company(2, model=OTHERS_NAME)
    sent = lab.submit()
    assert (sent.requests, sent.unpriced_requests, sent.estimated_cost_eur) == (2, 2, 0)
    assert "not known" in of_sending(sent, "")
    read = lab.read_to_the_end()
    assert (read.rows.completed, read.rows.unpriced, read.rows.cost_eur) == (2, 2, 0)
    assert "What 2 answers cost is not known" in of_reading(read, AbandonedReport())
    assert lab.times_billed(ids) == [1, 1]
    (batch_id,) = lab.batches()
    found = Lookups(lab.desk.engine).batch(batch_id)
    assert found is not None
    assert found.unpriced == 2
    (company,) = (one for one in lab.pipeline.queries.statistics() if one.sessions)
    assert company.unpriced == 2
    assert savings([company]).startswith("What 2 answers cost is not known")


def test_what_is_known_and_what_is_not_are_told_apart(lab: Lab) -> None:
    lab.configure(**served(OTHERS_NAME))
    company_id, _ = lab.company(1, model=OTHERS_NAME)
    lab.more(company_id, 2)
    sent = lab.submit()
    assert (sent.requests, sent.unpriced_requests) == (3, 1)
    assert "and what 1 request without a price cost" in of_sending(sent, "")
    lab.read_to_the_end()
    (company,) = (one for one in lab.pipeline.queries.statistics() if one.sessions)
    assert company.unpriced == 1
    assert company.cost_eur > 0
    said = savings([company])
    assert said.startswith("Spent ")
    assert "What 1 answer cost is not known" in said


def test_nothing_is_said_to_be_spent_before_anything_is(lab: Lab) -> None:
    lab.company(1)
    assert savings(lab.pipeline.queries.statistics()) == "Nothing has been spent yet."


def test_a_deployment_costs_what_its_model_costs(lab: Lab) -> None:
    lab.configure(**served(DEPLOYMENT))
    lab.company(2, model=DEPLOYMENT)
    named = lab.under(deployments={DEPLOYMENT: "gpt-4o-mini"})
    sent = named.submit()
    assert (sent.requests, sent.unpriced_requests) == (2, 0)
    assert sent.estimated_cost_eur > 0
    read = named.read_to_the_end()
    assert (read.rows.completed, read.rows.unpriced) == (2, 0)
    assert read.rows.cost_eur > 0


def test_what_has_no_price_is_not_sent_while_costs_are_capped(lab: Lab) -> None:
    lab.configure(**served(DEPLOYMENT))
    lab.company(2, model=DEPLOYMENT)
    capped = lab.under(caps=Caps(day_cost_eur=1_000.0))
    why_not = f"model {DEPLOYMENT} is in cooldown: it has no price, and costs are capped"
    assert capped.submit().held == {why_not: 2}
    named = capped.under(deployments={DEPLOYMENT: "gpt-4o-mini"})
    assert named.submit().requests == 2


def _finder(lab: Lab, name: str) -> Callable[[str], Price | None]:
    return price_finder(lab.pipeline.queries.model_prices(), profile_of("", name), str)


@pytest.mark.parametrize(
    ("name", "model", "factor"),
    [
        ("openai", "gpt-4o-mini", 0.5),
        ("azure", "gpt-4o-mini", 0.5),
        ("groq", "llama-3.3-70b-versatile", 0.5),
        ("together", "meta-llama/Llama-3.3-70B-Instruct-Turbo", 1.0),
        ("openrouter", OTHERS_NAME, 0.5),
    ],
)
def test_a_price_is_that_of_the_server(lab: Lab, name: str, model: str, factor: float) -> None:
    price = _finder(lab, name)(model)
    assert price is not None
    assert price.batch.prompt == pytest.approx(factor * price.synchronous.prompt)
    assert price.batch.completion == pytest.approx(factor * price.synchronous.completion)


@pytest.mark.parametrize(
    ("name", "model"),
    [("compatible", OTHERS_NAME), ("dashscope", "qwen-plus"), ("azure", DEPLOYMENT)],
)
def test_a_model_that_the_server_has_no_list_for_has_no_price(
    lab: Lab, name: str, model: str
) -> None:
    assert _finder(lab, name)(model) is None


def _price_in_livedash(lab: Lab, model: str, prompt: float, completion: float) -> None:
    """LiveDash's table has this price of a model since yesterday."""
    lab.desk.do(
        'INSERT INTO public."AIModel" (id, name, provider, "isActive", "updatedAt")'
        " VALUES ('model', :name, 'openai', true, now())",
        name=model,
    )
    lab.desk.do(
        'INSERT INTO public."AIModelPricing" (id, "aiModelId", "promptTokenCost",'
        ' "completionTokenCost", "effectiveFrom")'
        " VALUES ('price', 'model', :prompt, :completion, now() - interval '1 day')",
        prompt=prompt,
        completion=completion,
    )


def test_livedashs_own_price_goes_first_and_is_discounted_as_on_the_server(lab: Lab) -> None:
    _price_in_livedash(lab, DEPLOYMENT, 0.001, 0.002)
    found = {name: _finder(lab, name)(DEPLOYMENT) for name in ("openai", "together")}
    rates = {name: price.batch.prompt for name, price in found.items() if price is not None}
    assert rates == {"openai": pytest.approx(0.0005), "together": pytest.approx(0.001)}


def test_livedashs_price_has_the_published_discount_on_cached_input(lab: Lab) -> None:
    _price_in_livedash(lab, "gpt-5-mini", 0.001, 0.002)
    price = _finder(lab, "openai")("gpt-5-mini")
    assert price is not None
    assert price.source == "livedash"
    assert price.synchronous.cached_prompt == pytest.approx(0.0001)
    assert price.batch.cached_prompt == pytest.approx(0.00005)


def test_a_price_of_0_in_livedash_is_asked_about_and_counts_for_nothing(
    lab: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    lab.configure(**served(DEPLOYMENT))
    _price_in_livedash(lab, DEPLOYMENT, 0.0, 0.0)
    lab.company(2, model=DEPLOYMENT)
    sent = lab.submit()
    assert (sent.requests, sent.unpriced_requests) == (2, 2)
    asked = f"set BATCH_MODEL_PRICES to {DEPLOYMENT}=free"
    assert [asked in record.message for record in caplog.records].count(True) == 1
    assert lab.read_to_the_end().rows.unpriced == 2


def test_a_price_of_0_does_not_hide_the_published_one(lab: Lab) -> None:
    _price_in_livedash(lab, "gpt-4o-mini", 0.0, 0.001)
    price = _finder(lab, "openai")("gpt-4o-mini")
    assert price is not None
    assert price.source == "genai-prices"


def test_what_is_confirmed_to_be_free_is_known_to_cost_nothing_and_sent_under_a_cap(
    lab: Lab,
) -> None:
    lab.configure(**served(DEPLOYMENT))
    _price_in_livedash(lab, DEPLOYMENT, 0.0, 0.0)
    lab.company(2, model=DEPLOYMENT)
    confirmed = lab.under(
        model_prices={DEPLOYMENT: read_price("free")}, caps=Caps(day_cost_eur=0.001)
    )
    sent = confirmed.submit()
    assert (sent.requests, sent.unpriced_requests, sent.estimated_cost_eur) == (2, 0, 0)
    read = confirmed.read_to_the_end()
    assert (read.rows.completed, read.rows.unpriced, read.rows.cost_eur) == (2, 0, 0)


def test_a_price_that_is_set_goes_first_and_counts_against_a_cap(lab: Lab) -> None:
    lab.configure(**served(DEPLOYMENT))
    _price_in_livedash(lab, DEPLOYMENT, 1.0, 1.0)
    _, ids = lab.company(2, model=DEPLOYMENT)
    priced = lab.under(
        model_prices={DEPLOYMENT: read_price("2/8")}, caps=Caps(day_cost_eur=1.0), usd_to_eur=0.5
    )
    assert priced.submit().requests == 2
    read = priced.read_to_the_end()
    assert (read.rows.completed, read.rows.unpriced) == (2, 0)
    for request in map(lab.desk.request, ids):
        usd = (request.promptTokens * 2 + request.completionTokens * 8) / 1e6 / 2
        assert request.totalCostEur == pytest.approx(usd * 0.5)


def test_where_no_price_is_known_the_ui_says_unknown(lab: Lab) -> None:
    lab.configure(**served(OTHERS_NAME))
    lab.company(1, model=OTHERS_NAME)
    lab.submit()
    lookups = Lookups(lab.desk.engine)
    (batch_id,) = lab.batches()
    unknown = lookups.batch(batch_id)
    assert unknown is not None
    assert entries(unknown)["estimated_cost_eur"] == "unknown"
    free = lab.under(model_prices={OTHERS_NAME: read_price("free")})
    lab.company(1, model=OTHERS_NAME)
    free.submit()
    known = lookups.batch(free.batches()[-1])
    assert known is not None
    assert entries(known)["estimated_cost_eur"] == 0
