"""Counters come out as Prometheus text."""

from __future__ import annotations

from interlock.serving.metrics import Metrics


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
    assert 'interlock_model_info{name="fl\\"ights",version="7",sha256="ab"} 1' in lines
