-- Vertex AI's request-response log in the columns of src/interlock/warehouse.py.
-- What Vertex AI does not log: the model version (taken from the rollout journal, which knows what each deployed model
-- is), the HTTP status (an answer without predictions counts as 500), and the latency (null: use a `counter` metric).
WITH deployed AS (
  SELECT
    JSON_VALUE(detail, '$.candidate_deployed') AS deployed_model_id,
    ANY_VALUE(JSON_VALUE(detail, '$.candidate_version')) AS model_version
  FROM `${journal}`
  WHERE event = 'started'
  GROUP BY 1
)

SELECT
  -- Ascending with time, and the same whenever it is read: microseconds, then a digest that tells equal ones apart.
  UNIX_MICROS(raw.logging_time) * 1000
  + MOD(ABS(FARM_FINGERPRINT(CAST(raw.request_id AS STRING))), 1000) AS log_id,
  raw.endpoint,
  raw.deployed_model_id,
  COALESCE(deployed.model_version, '') AS model_version,
  UNIX_MICROS(raw.logging_time) / 1e6 AS logging_time,
  CAST(raw.request_id AS STRING) AS request_id,
  CONCAT('[', ARRAY_TO_STRING(raw.request_payload, ','), ']') AS request_payload,
  CONCAT('[', ARRAY_TO_STRING(raw.response_payload, ','), ']') AS response_payload,
  IF(ARRAY_LENGTH(raw.response_payload) > 0, 200, 500) AS status,
  CAST(NULL AS FLOAT64) AS latency_ms
FROM `${log}` AS raw
LEFT JOIN deployed
  ON raw.deployed_model_id = deployed.deployed_model_id
