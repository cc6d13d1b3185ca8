import sqlalchemy as sa

from interlock.emulator.serving_log import Row, ServingLog
from interlock.warehouse import open_warehouse, request_response_log, serving_log


def row(number):
    return Row(
        "e",
        "d",
        "1",
        1.0 + number,
        b'[{"row_key": "k%d"}]' % number,
        b'[{"probability": 0.5, "label": 1}]',
        200,
        2.5,
    )


def test_stop_writes_everything_once_and_in_order(tmp_path):
    url = f"sqlite:///{tmp_path}/warehouse.db"
    log = ServingLog(open_warehouse(url), interval_seconds=0.01)
    log.start()
    for number in range(12_000):
        log.append(row(number))
    log.stop()
    assert log.dropped == 0
    with open_warehouse(url).connect() as connection:
        rows = connection.execute(sa.select(request_response_log).order_by("log_id")).all()
        flat = connection.execute(sa.select(serving_log()).limit(1)).one()
    assert [entry.logging_time for entry in rows] == [1.0 + number for number in range(12_000)]
    assert len({entry.request_id for entry in rows}) == 12_000
    assert (flat.row_key, flat.probability, flat.predicted, flat.latency_ms) == ("k0", 0.5, 1, 2.5)


def test_rows_wait_while_the_warehouse_is_away(tmp_path):
    url = f"sqlite:///{tmp_path}/warehouse.db"
    engine = open_warehouse(url)
    with engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE request_response_log RENAME TO away"))
    log = ServingLog(engine, interval_seconds=0.01)
    log.start()
    log.append(row(1))
    log.append(row(2))
    with open_warehouse_without_tables(url).begin() as connection:
        connection.execute(sa.text("ALTER TABLE away RENAME TO request_response_log"))
    log.stop()
    with open_warehouse(url).connect() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(request_response_log)) == 2


def open_warehouse_without_tables(url):
    return sa.create_engine(url, connect_args={"timeout": 30})
