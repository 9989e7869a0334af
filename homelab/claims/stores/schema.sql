-- Claims as leases in a table. What is decided is decided by homelab.claims.stores.base, inside a transaction that holds the
-- labels; here are the records, their exclusion, the server's clock, and an order of numbers that survives a failover.
-- A role that may execute these functions can do no more than they do: tables are out of its reach.

CREATE SCHEMA IF NOT EXISTS homelab;

CREATE TABLE IF NOT EXISTS homelab.claim (
    label text NOT NULL,
    id text NOT NULL,
    record jsonb NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (label, id)
);

CREATE TABLE IF NOT EXISTS homelab.ticket (
    label text NOT NULL,
    id text NOT NULL,
    number bigint NOT NULL,
    record jsonb NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (label, id)
);

CREATE TABLE IF NOT EXISTS homelab.event (
    n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    label text NOT NULL,
    record jsonb NOT NULL
);
CREATE INDEX IF NOT EXISTS event_label ON homelab.event (label, n);

CREATE SEQUENCE IF NOT EXISTS homelab.number;

CREATE OR REPLACE FUNCTION homelab.version() RETURNS integer
LANGUAGE sql IMMUTABLE AS 'SELECT 1';

-- Transaction level: right behind a pooler too, where a session's lock would outlive its client.
CREATE OR REPLACE FUNCTION homelab.hold(the_label text) RETURNS void
LANGUAGE sql AS $$ SELECT pg_advisory_xact_lock(hashtextextended('homelab.claim:' || the_label, 0)) $$;

-- The timeline in front: a standby that missed the last numbers counts on from a higher one. 2^40 numbers each, and all
-- of them whole in a double, as JSON wants it. None is below the milliseconds since 2026, counted in tenths of a second: a
-- database that was made anew, or restored from a dump, knows nothing of the numbers that its predecessor has given.
CREATE OR REPLACE FUNCTION homelab.next_number() RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    least CONSTANT bigint := floor(extract(epoch FROM clock_timestamp()) * 10)::bigint * 100 - 1767225600000;
    n bigint := nextval('homelab.number');
BEGIN
    IF n < least THEN -- one after another, ten times a second at most: a late setval would take numbers back
        PERFORM pg_advisory_xact_lock(hashtextextended('homelab.number', 0));
        n := nextval('homelab.number');
        IF n < least THEN
            n := setval('homelab.number', least);
        END IF;
    END IF;
    RETURN (('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::bigint - 1) * 1099511627776 + n;
END $$;

CREATE OR REPLACE FUNCTION homelab.tell(the_event jsonb) RETURNS void
LANGUAGE sql AS $$ INSERT INTO homelab.event (label, record) VALUES (the_event ->> 'label', the_event) $$;

-- Only the first in the queue is woken: with a broadcast, fifty waiters would all come and forty-nine in vain.
CREATE OR REPLACE FUNCTION homelab.wake(the_label text) RETURNS void
LANGUAGE sql AS $$
    SELECT pg_notify('homelab_claims', id) FROM homelab.ticket
    WHERE label = the_label AND expires_at > clock_timestamp() ORDER BY number LIMIT 1
$$;

-- The labels are ours until the transaction ends, taken in one order by everyone. The clock is read after the wait:
-- now() would be the transaction's beginning. The dead are removed and told of.
CREATE OR REPLACE FUNCTION homelab.enter(the_labels text[])
RETURNS TABLE (kind text, record jsonb, ends text, seconds double precision, moment text)
LANGUAGE plpgsql AS $$
DECLARE
    one text;
    dead homelab.claim;
BEGIN
    PERFORM set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off';
    PERFORM set_config('idle_in_transaction_session_timeout', '5s', true);
    FOR one IN SELECT DISTINCT unnest(the_labels) COLLATE "C" AS label ORDER BY label LOOP
        PERFORM homelab.hold(one);
        FOR dead IN DELETE FROM homelab.claim c WHERE c.label = one AND c.expires_at <= clock_timestamp() RETURNING * LOOP
            PERFORM homelab.tell(
                (dead.record - 'v' - 'deadline' - 'keeper' - 'outer' - 'duration' - 'fixed' - 'state' - 'pids')
                || jsonb_build_object(
                    'event', CASE dead.record ->> 'binding' WHEN 'process' THEN 'abandoned' ELSE 'expired' END,
                    'by', NULL, 'reason', NULL));
        END LOOP;
        DELETE FROM homelab.ticket t WHERE t.label = one AND t.expires_at <= clock_timestamp();
    END LOOP;
    RETURN QUERY
        SELECT 'claim', c.record, homelab.iso(c.expires_at),
            extract(epoch FROM c.expires_at - clock_timestamp())::double precision, homelab.iso(clock_timestamp())
        FROM homelab.claim c WHERE c.label = ANY (the_labels)
        UNION ALL
        SELECT 'ticket', t.record, NULL, NULL, homelab.iso(clock_timestamp())
        FROM homelab.ticket t WHERE t.label = ANY (the_labels)
        UNION ALL
        SELECT 'moment', NULL, NULL, NULL, homelab.iso(clock_timestamp());
END $$;

CREATE OR REPLACE FUNCTION homelab.iso(moment timestamptz) RETURNS text
LANGUAGE sql AS $$ SELECT to_char(moment AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') $$;

CREATE OR REPLACE FUNCTION homelab.put(the_claim jsonb, the_seconds double precision) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    ends timestamptz;
BEGIN
    PERFORM homelab.hold(the_claim ->> 'label');
    ends := clock_timestamp() + make_interval(secs => the_seconds);
    INSERT INTO homelab.claim AS c (label, id, record, expires_at)
    VALUES (the_claim ->> 'label', the_claim ->> 'id', the_claim, ends)
    ON CONFLICT (label, id) DO UPDATE SET record = excluded.record, expires_at = excluded.expires_at;
    RETURN homelab.iso(ends);
END $$;

CREATE OR REPLACE FUNCTION homelab.remove(the_label text, the_id text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM homelab.hold(the_label);
    DELETE FROM homelab.claim WHERE label = the_label AND id = the_id;
    PERFORM homelab.wake(the_label);
END $$;

CREATE OR REPLACE FUNCTION homelab.enqueue(the_ticket jsonb, the_seconds double precision) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM homelab.hold(the_ticket ->> 'label');
    INSERT INTO homelab.ticket (label, id, number, record, expires_at)
    VALUES (the_ticket ->> 'label', the_ticket ->> 'id', (the_ticket ->> 'number')::bigint, the_ticket,
        clock_timestamp() + make_interval(secs => the_seconds));
END $$;

CREATE OR REPLACE FUNCTION homelab.dequeue(the_label text, the_id text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM homelab.hold(the_label);
    DELETE FROM homelab.ticket WHERE label = the_label AND id = the_id;
    PERFORM homelab.wake(the_label);
END $$;

CREATE OR REPLACE FUNCTION homelab.stay(the_ticket text, the_seconds double precision) RETURNS void
LANGUAGE sql AS $$
    UPDATE homelab.ticket SET expires_at = clock_timestamp() + make_interval(secs => the_seconds) WHERE id = the_ticket
$$;

-- A keeper's heartbeat; returns the labels that still are its. A row that is there has been given to nobody, however late.
CREATE OR REPLACE FUNCTION homelab.beat(the_id text, the_seconds double precision, the_state text, the_pids integer[])
RETURNS SETOF text
LANGUAGE sql AS $$
    UPDATE homelab.claim SET
        expires_at = clock_timestamp() + make_interval(secs => the_seconds),
        record = record || jsonb_build_object('state', the_state, 'pids', to_jsonb(the_pids))
    WHERE id = the_id RETURNING label
$$;

CREATE OR REPLACE FUNCTION homelab.board()
RETURNS TABLE (kind text, record jsonb, ends text, seconds double precision)
LANGUAGE sql AS $$
    SELECT 'claim', record, homelab.iso(expires_at), extract(epoch FROM expires_at - clock_timestamp())::double precision
    FROM homelab.claim WHERE expires_at > clock_timestamp()
    UNION ALL
    SELECT 'ticket', record, NULL, NULL FROM homelab.ticket WHERE expires_at > clock_timestamp()
$$;

CREATE OR REPLACE FUNCTION homelab.history(the_label text) RETURNS SETOF jsonb
LANGUAGE sql AS $$
    SELECT jsonb_build_object('at', homelab.iso(at)) || record FROM homelab.event
    WHERE the_label IS NULL OR label = the_label ORDER BY n
$$;

-- All of them run as their owner, who alone reaches the tables, and find nothing but what they name.
DO $$
DECLARE
    each regprocedure;
BEGIN
    FOR each IN SELECT p.oid::regprocedure FROM pg_proc p WHERE p.pronamespace = 'homelab'::regnamespace LOOP
        EXECUTE format('ALTER FUNCTION %s SECURITY DEFINER SET search_path = pg_catalog, pg_temp', each);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', each);
    END LOOP;
END $$;
REVOKE ALL ON ALL TABLES IN SCHEMA homelab FROM PUBLIC;
REVOKE ALL ON SCHEMA homelab FROM PUBLIC;
