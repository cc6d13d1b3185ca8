"""Counters come out as Prometheus text."""

from __future__ import annotations

from interlock.serving.metrics import Metrics, shared_board


def test_metrics_are_cumulative_and_labelled() -> None:
    metrics = Metrics(model_name='fl"ights', model_version="7", model_sha256="ab")
    metrics.observe("predict", 200, 0.0002)
    metrics.observe("predict", 404, 9.0)
    metrics.observe("health", 200, 0.5)
    lines = metrics.render().decode().splitlines()
    assert 'interlock_requests_total{route="predict",status="2xx"} 1' in lines
    assert 'interlock_requests_total{route="predict",status="4xx"} 1' in lines
    assert 'interlock_requests_total{route="health",status="2xx"} 1' in lines
    assert 'interlock_predict_latency_seconds_bucket{le="0.0001"} 0' in lines
    assert 'interlock_predict_latency_seconds_bucket{le="0.00025"} 1' in lines
    assert 'interlock_predict_latency_seconds_bucket{le="2.5"} 1' in lines
    assert 'interlock_predict_latency_seconds_bucket{le="+Inf"} 2' in lines
    assert "interlock_predict_latency_seconds_count 2" in lines
    assert 'interlock_model_info{name="fl\\"ights",version="7",sha256="ab",engine="graph"} 1' in lines


def test_scores_and_batches_are_histograms() -> None:
    metrics = Metrics(model_name="m", model_version="1", model_sha256="")
    metrics.scored([0.15])
    metrics.scored([0.15, 0.95, 1.0])
    metrics.refuse("bad input")
    lines = metrics.render().decode().splitlines()
    assert 'interlock_score_bucket{le="0.1"} 0' in lines
    assert 'interlock_score_bucket{le="0.2"} 2' in lines
    assert 'interlock_score_bucket{le="0.95"} 3' in lines
    assert 'interlock_score_bucket{le="+Inf"} 4' in lines
    assert "interlock_score_sum 2.250000" in lines
    assert 'interlock_batch_instances_bucket{le="1"} 1' in lines
    assert "interlock_batch_instances_sum 4.000000" in lines
    assert 'interlock_refusals_total{kind="bad input"} 1' in lines


def test_workers_are_summed_and_a_new_one_goes_on_from_the_old() -> None:
    board = shared_board(2)
    first, second = (Metrics(model_name="m", model_version="1", model_sha256="", board=board, worker=i) for i in (0, 1))
    first.scored([0.5])
    first.publish()
    second.scored([0.5] * 3)
    assert b"interlock_instances_total 4\n" in second.render()
    again = Metrics(model_name="m", model_version="1", model_sha256="", board=board, worker=1)
    again.scored([0.5])
    assert b"interlock_instances_total 5\n" in again.render()
