"""CPU time is shared out without rest; counters are what Prometheus can read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("prometheus_client")

from prometheus_client.parser import text_string_to_metric_families

from udt.carbon import estimate, find_machine, find_place
from udt.serving.account import Account, CpuShares
from udt.serving.store import ModelStore


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 10)), max_size=40))
def test_what_all_are_charged_is_the_time_while_there_was_any(steps):
    now, busy, charged = 0.0, 0.0, 0.0
    shares = CpuShares(lambda: now)
    entered: list[float] = []
    for enters, passed in steps:
        now += passed
        busy += passed * bool(entered)
        if enters:
            entered.append(shares.enter())
        elif entered:
            charged += shares.leave(entered.pop(0))
    charged += sum(shares.leave(e) for e in entered)
    assert charged == pytest.approx(busy)


def test_idle_time_is_charged_to_nobody():
    now = [0.0]
    shares = CpuShares(lambda: now[0])
    now[0] = 100.0
    one = shares.enter()
    now[0] = 101.0
    assert shares.leave(one) == 1.0


@pytest.fixture
def account(model_file) -> Account:
    machine, place = find_machine("r6g.xlarge"), find_place("us-west-1")
    return Account(ModelStore(model_file, print), machine, place, ("/predict",))


def samples(account) -> dict[tuple[str, tuple[str, ...]], float]:
    families = text_string_to_metric_families(account.to_text().decode())
    return {
        (s.name, tuple(sorted(s.labels.values()))): s.value for f in families for s in f.samples
    }


def test_a_cost_is_that_of_the_machine_with_one_cpu_busy(account):
    told = account.charge("/predict", 3, 2.0)
    machine, place = find_machine("r6g.xlarge"), find_place("us-west-1")
    expected = estimate(machine, place, hours=2 / 3600, utilisation=1 / machine.vcpus)
    assert told["cpu_s"] == 2.0
    assert told["energy_kwh"] == pytest.approx(expected.kwh)
    assert told["co2e_g"] == pytest.approx(expected.total_g)


def test_counters_add_up(account):
    account.charge("/predict", 3, 0.5)
    account.charge("/predict", 4, 0.25)
    account.answered("/predict", 200, 0.003)
    account.answered("/predict", 422, 0.003)
    account.answered("/of/a/stranger", 404, 0.1)
    account.answered("/of/another", 404, 0.1)
    account.batch(7)
    found = samples(account)
    assert found["udt_rows_total", ("/predict",)] == 7
    assert found["udt_cpu_seconds_total", ()] == 0.75
    assert found["udt_co2e_grams_total", ()] > 0
    assert found["udt_requests_total", ("/predict", "200")] == 1
    assert found["udt_requests_total", ("404", "other")] == 2  # strangers make no new series
    assert found["udt_batch_rows_sum", ()] == 7
    assert found["udt_model_reloads", ("failed",)] == 0
    assert [value for (name, _), value in found.items() if name == "udt_model_info"] == [1]
