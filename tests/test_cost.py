"""The arithmetic of bench.cost, by hand."""

import pytest

from bench.cost import Prices, Work, always_on, break_even, in_batch, instances, on_lambda, on_serverless

PRICES = Prices(
    lambda_gb_second=0.00002, lambda_million_requests=0.2, api_million_requests=1.0, serverless_gb_second=0.00003,
    serverless_gb_of_data=0.01, endpoint_hour=0.18, endpoint_cpus=2, node_hour=0.09, node_cpus=4,
)  # fmt: skip
WORK = Work(
    ms_per_text=8, ms_per_request=2, texts_per_request=1, cold_share=0.01, cold_ms=1_000, bytes_per_text=1_000,
    serverless_gb=2, utilization=0.5, fewest_instances=2,
)  # fmt: skip
TEN = Work(ms_per_text=8, ms_per_request=20, texts_per_request=10, cold_share=0.0, fewest_instances=1)


def test_lambda_is_paid_by_time_request_and_cold_start() -> None:
    # 10 ms + 1 % of a second = 20 ms; 20,000 s * 1.72754 GB * 0.00002 = 0.69102, and 1.20 for a million requests.
    assert on_lambda(WORK, PRICES) == pytest.approx(1.89102, abs=1e-5)
    assert on_lambda(WORK, PRICES, has_api=False) == pytest.approx(0.89102, abs=1e-5)


def test_ten_texts_a_request_share_it() -> None:
    # 100 ms a request, 100,000 requests: 10,000 s * 1.72754 GB * 0.00002 = 0.34551, and 0.12.
    assert on_lambda(TEN, PRICES) == pytest.approx(0.46551, abs=1e-5)


def test_a_serverless_endpoint_is_paid_by_time_and_data() -> None:
    # 10,000 s * 2 GB * 0.00003 = 0.60; a gigabyte: 0.01.
    assert on_serverless(WORK, PRICES) == pytest.approx(0.61)


def test_a_batch_job_uses_all_that_it_pays_for() -> None:
    # 8,000 s of CPU on 2 are 4,000 s of an instance: 1.111 hours at 0.18.
    assert in_batch(WORK, PRICES) == pytest.approx(0.2)


@pytest.mark.parametrize(("per_second", "expected"), [(0.1, 2), (200, 2), (201, 3), (1_000, 10)])
def test_an_instance_takes_what_its_cpus_do_at_the_wanted_utilization(per_second: float, expected: int) -> None:
    # 2 CPUs at half are 1,000 ms of CPU a second, and a text takes 10.
    assert instances(WORK, 2, per_second) == expected


def test_what_is_always_on_costs_less_the_more_it_has_to_do() -> None:
    # Two at 0.18 an hour, for 3,600 texts and for 360,000.
    assert always_on(WORK, 0.18, 2, 1) == pytest.approx(100)
    assert always_on(WORK, 0.18, 2, 100) == pytest.approx(1)


def test_where_both_cost_the_same_they_do() -> None:
    even = break_even(WORK, PRICES, on_lambda(WORK, PRICES))
    assert even == pytest.approx(52.88, abs=0.01)
    assert always_on(WORK, PRICES.endpoint_hour, 2, even) == pytest.approx(1.89102, abs=1e-5)
