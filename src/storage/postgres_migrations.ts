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
  `
CREATE FUNCTION append_records(s text, added jsonb) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE head bigint; first bigint; last bigint; other bigint;
BEGIN
  INSERT INTO outbox_position (stream, seq, id) VALUES (s, 0, '') ON CONFLICT DO NOTHING;
  SELECT seq INTO head FROM outbox_position WHERE stream = s FOR UPDATE;
  SELECT min((r->>'seq')::bigint), max((r->>'seq')::bigint) INTO first, last FROM jsonb_array_elements(added) r;
  IF first > head + 1 THEN RAISE EXCEPTION USING ERRCODE = 'QR001', MESSAGE = head::text; END IF;
  SELECT min((r->>'seq')::bigint) INTO other FROM jsonb_array_elements(added) r
    LEFT JOIN records o ON o.stream = s AND o.seq = (r->>'seq')::bigint
    WHERE (r->>'seq')::bigint <= head AND o.id IS DISTINCT FROM decode(r->>'id', 'hex');
  IF other IS NOT NULL THEN RAISE EXCEPTION USING ERRCODE = 'QR002', MESSAGE = other::text; END IF;
  INSERT INTO records (stream, seq, id, kind, key, body)
    SELECT s, (r->>'seq')::bigint, decode(r->>'id', 'hex'), r->>'kind', r->>'key', decode(r->>'body', 'hex')
    FROM jsonb_array_elements(added) r WHERE (r->>'seq')::bigint > head;
  IF last > head THEN
    UPDATE outbox_position SET seq = last,
      id = (SELECT decode(r->>'id', 'hex') FROM jsonb_array_elements(added) r WHERE (r->>'seq')::bigint = last)
      WHERE stream = s;
    RETURN last;
  END IF;
  RETURN head;
END
$$;
`,
];

/** One statement that brings the tables of any earlier version to this one, one process at a time. */
export function migrationStatement(): string {
  const steps = MIGRATIONS.map((migration, i) => `
  IF NOT EXISTS (SELECT FROM quorate_migrations WHERE version = ${i + 1}) THEN
    EXECUTE $migration$${migration}$migration$;
    INSERT INTO quorate_migrations (version) VALUES (${i + 1});
  END IF;`);
  return `DO $quorate$
BEGIN
  PERFORM pg_advisory_xact_lock(hashtext('quorate'));
  CREATE TABLE IF NOT EXISTS quorate_migrations (
    version bigint PRIMARY KEY, applied timestamptz NOT NULL DEFAULT now()
  );
  IF (SELECT coalesce(max(version), 0) FROM quorate_migrations) > ${MIGRATIONS.length} THEN RETURN; END IF;
${steps.join("")}
END
$quorate$`;
}
