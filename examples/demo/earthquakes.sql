-- A week of real earthquakes, replayed: filtered, enriched from a table, summed up by region and hour, with alerts.

CREATE TABLE feed (
  properties ROW<mag DOUBLE, place STRING, `time` BIGINT, net STRING>,
  geometry ROW<coordinates ARRAY<DOUBLE>>,
  id STRING
) WITH (
  'connector' = 'filesystem',
  'path' = '${data}/earthquakes.jsonl.gz',
  'format' = 'json',
  'scan.replay.time' = 'properties.time',
  'scan.replay.speed' = '${speed}'
);

CREATE TABLE networks (code STRING, region STRING) WITH (
  'connector' = 'filesystem',
  'path' = '${data}/networks.csv',
  'format' = 'csv'
);

-- The stream that everything else reads: a durable topic with event time.
CREATE TABLE quakes (
  id STRING,
  magnitude DOUBLE,
  depth DOUBLE,
  place STRING,
  net STRING,
  ts TIMESTAMP(3),
  WATERMARK FOR ts AS ts - INTERVAL '1' MINUTE
) WITH ('connector' = 'topic', 'format' = 'json');

SET 'pipeline.name' = 'ingest';

INSERT INTO quakes
SELECT
  id,
  properties.mag,
  geometry.coordinates[3],
  properties.place,
  properties.net,
  CAST(TO_TIMESTAMP_LTZ(properties.`time`, 3) AS TIMESTAMP(3))
FROM feed
WHERE properties.mag IS NOT NULL;

CREATE VIEW located AS
SELECT q.*, n.region
FROM (SELECT *, PROCTIME() AS now_at FROM quakes WHERE magnitude >= 1) AS q
JOIN networks FOR SYSTEM_TIME AS OF q.now_at AS n ON q.net = n.code;

CREATE TABLE latest (ts TIMESTAMP(3), region STRING, magnitude DOUBLE, place STRING)
WITH ('connector' = 'topic', 'format' = 'json');

CREATE TABLE hourly (
  window_start TIMESTAMP(3),
  region STRING,
  quakes BIGINT,
  strongest DOUBLE,
  average_depth DOUBLE
) WITH ('connector' = 'topic', 'format' = 'json');

CREATE TABLE alerts (ts TIMESTAMP(3), magnitude DOUBLE, place STRING)
WITH ('connector' = 'topic', 'format' = 'json');

SET 'pipeline.name' = 'answers';

EXECUTE STATEMENT SET
BEGIN
  INSERT INTO latest SELECT ts, region, magnitude, place FROM located;

  INSERT INTO hourly
  SELECT window_start, region, COUNT(*), MAX(magnitude), AVG(depth)
  FROM TABLE(TUMBLE(TABLE located, DESCRIPTOR(ts), INTERVAL '1' HOUR))
  GROUP BY window_start, window_end, region;

  INSERT INTO alerts SELECT ts, magnitude, place FROM quakes WHERE magnitude >= 5;
END;
