"""A small job on every server that is known, and on those that turn out to be otherwise."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, get_args

import pytest

from batch_assets.local.batch_server.profiles.played import PLAYED, Server
from batch_assets.openai_batch.client import BatchApi
from batch_assets.openai_batch.profiles import NAMES, profile_of, versioned
from batch_assets_tests.stages.support import API_KEY, Lab, call_rule, refusal

SERVERS = get_args(Server)
FILES_OF_BATCHES: tuple[Server, ...] = ("openai", "dashscope", "groq", "compatible")


@contextmanager
def playing(lab: Lab, name: Server, **parts: Any) -> Iterator[Lab]:
    """The lab with a server that plays this one, and a client that has its profile."""
    lab.configure(plays=name, **parts)
    url = lab.server.base_url.removesuffix("/v1") + PLAYED[name].path
    profile = profile_of(url, name)
    if profile.is_dated:
        url = versioned(url, "2024-10-21")
    with BatchApi(API_KEY, url, profile=profile) as api:
        bound = profile.bound(lab.pipeline.policy)
        yield replace(lab, pipeline=replace(lab.pipeline, api=api, policy=bound))


def test_every_profile_can_be_played() -> None:
    assert set(SERVERS) == set(NAMES)


@pytest.mark.parametrize("name", FILES_OF_BATCHES)
def test_a_small_job_is_billed_once_and_analysed(lab: Lab, name: Server) -> None:
    _, ids = lab.company(3)
    quick = {"quirks": {"file_processing_seconds": 0.3}} if name.startswith("azure") else {}
    with playing(lab, name, **quick) as there:
        assert there.submit().requests == 3
        there.read_to_the_end()
        assert there.bucket_counts() == {"complete": 3}
        assert there.times_billed(ids) == [1, 1, 1]
        assert there.clean() == 1


@pytest.mark.parametrize("names", [("output_expires_after",), ("metadata", "output_expires_after")])
def test_a_creation_that_is_refused_for_what_it_can_do_without(
    lab: Lab, names: tuple[str, ...]
) -> None:
    _, ids = lab.company(2)
    with playing(lab, "compatible", quirks={"unknown_parameters": names}) as there:
        report = there.submit()
        assert (report.batches, report.released, report.unresolved) == (1, 0, 0)
        there.read_to_the_end()
        assert there.bucket_counts() == {"complete": 2}
        assert there.times_billed(ids) == [1, 1]


def test_what_is_refused_for_good_is_not_tried_again(lab: Lab) -> None:
    _, ids = lab.company(1)
    rule = call_rule("batches.create", refusal(400, "invalid_value"))
    with playing(lab, "compatible", calls=[rule]) as there:
        assert there.submit().released == 1
        assert there.bucket_counts() == {"waiting": 1}
        assert there.times_billed(ids) == [0]
