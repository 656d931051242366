-- One role per node. The first one that connects makes the tables; they belong to all, as each acts as quorate in this database.
CREATE ROLE quorate NOLOGIN;
CREATE DATABASE quorate OWNER quorate;
CREATE ROLE alice LOGIN IN ROLE quorate;
CREATE ROLE bob LOGIN IN ROLE quorate;
CREATE ROLE carol LOGIN IN ROLE quorate;
CREATE ROLE dave LOGIN IN ROLE quorate;
CREATE ROLE erin LOGIN IN ROLE quorate;
ALTER ROLE alice IN DATABASE quorate SET role = 'quorate';
ALTER ROLE bob IN DATABASE quorate SET role = 'quorate';
ALTER ROLE carol IN DATABASE quorate SET role = 'quorate';
ALTER ROLE dave IN DATABASE quorate SET role = 'quorate';
ALTER ROLE erin IN DATABASE quorate SET role = 'quorate';
REVOKE CONNECT ON DATABASE quorate FROM PUBLIC;
GRANT CONNECT ON DATABASE quorate TO alice, bob, carol, dave, erin;
