-- Once the tables are there: a node adds rows to its own stream only, and changes none. Run as the superuser in the database quorate.
ALTER TABLE records ENABLE ROW LEVEL SECURITY;
ALTER TABLE records FORCE ROW LEVEL SECURITY;
CREATE POLICY everybody_reads ON records FOR SELECT USING (true);
CREATE POLICY own_stream ON records FOR INSERT WITH CHECK (stream = session_user);
ALTER TABLE outbox_position ENABLE ROW LEVEL SECURITY;
ALTER TABLE outbox_position FORCE ROW LEVEL SECURITY;
CREATE POLICY everybody_reads ON outbox_position FOR SELECT USING (true);
CREATE POLICY own_place ON outbox_position FOR INSERT WITH CHECK (stream = session_user);
CREATE POLICY own_progress ON outbox_position FOR UPDATE USING (stream = session_user);
