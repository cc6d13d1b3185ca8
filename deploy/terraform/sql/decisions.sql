-- One row per request: what was decided, what became of it.
SELECT
  TIMESTAMP_MICROS(CAST(log.logging_time * 1e6 AS INT64)) AS time,
  log.endpoint,
  log.deployed_model_id,
  log.model_version,
  JSON_VALUE(log.request_payload, '$[0].row_key') AS row_key,
  CAST(JSON_VALUE(log.response_payload, '$[0].probability') AS FLOAT64) AS probability,
  CAST(JSON_VALUE(log.response_payload, '$[0].label') AS INT64) AS predicted,
  outcomes.outcome,
  outcomes.amount
FROM `${log}` AS log
LEFT JOIN `${outcomes}` AS outcomes
  ON JSON_VALUE(log.request_payload, '$[0].row_key') = outcomes.row_key
