/**
 * The tables of records in PostgreSQL, version by version. A migration that was released is never changed; a new one comes last.
 *
 * Rows are written in one table, as the nodes signed and hashed them; the others are views of it for people.
 *
 * @module
 */

/** One statement list per version. */
export const MIGRATIONS: readonly string[] = [
  `
CREATE TABLE records (
  stream text NOT NULL,
  seq bigint NOT NULL CHECK (seq > 0),
  id bytea NOT NULL,
  kind text NOT NULL,
  key text NOT NULL,
  body bytea NOT NULL,
  stored timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (stream, seq)
);
CREATE INDEX records_by_key ON records (kind, key);
CREATE TABLE outbox_position (stream text PRIMARY KEY, seq bigint NOT NULL, id bytea NOT NULL);
CREATE FUNCTION body_of(body bytea) RETURNS jsonb IMMUTABLE LANGUAGE sql AS $$ SELECT convert_from(body, 'UTF8')::jsonb $$;
CREATE VIEW votes AS
  SELECT stream AS node, seq, b->>'txId' AS tx_id, b->>'voter' AS voter, b->>'ballot' AS ballot, b->>'time' AS time, b AS body
  FROM (SELECT stream, seq, body_of(body) AS b FROM records WHERE kind = 'vote') r;
CREATE VIEW decisions AS
  SELECT stream AS node, seq, b->>'txId' AS tx_id, b->>'ballot' AS ballot, b->>'time' AS time, b AS body
  FROM (SELECT stream, seq, body_of(body) AS b FROM records WHERE kind = 'decision') r;
CREATE VIEW byzantine_violations AS
  SELECT stream AS node, seq, b->>'offenceId' AS offence_id, b->>'kind' AS kind, b->>'subject' AS subject, b->>'txId' AS tx_id,
    b->>'time' AS time, b AS body
  FROM (SELECT stream, seq, body_of(body) AS b FROM records WHERE kind = 'violation') r;
CREATE VIEW reputation_scores AS
  SELECT DISTINCT ON (stream, b->>'subject') stream AS node, seq, b->>'subject' AS subject, (b->>'score')::numeric AS score,
    b->>'time' AS time
  FROM (SELECT stream, seq, body_of(body) AS b FROM records WHERE kind = 'reputation') r
  ORDER BY stream, b->>'subject', seq DESC;
CREATE VIEW audit AS
  SELECT stream AS node, seq, b->>'index' AS leaf_index, b->>'type' AS type, b->>'time' AS time, b AS body
  FROM (SELECT stream, seq, body_of(body) AS b FROM records WHERE kind = 'audit') r;
`,
];
