-- The agents' role and database, made once by a superuser of IntelliDocs' server. psql's variables:
-- password, and intellidocs, the name of IntelliDocs' own database.
--
-- The role owns its database, where it makes its tables itself, and has no right anywhere else.
\set ON_ERROR_STOP on
CREATE ROLE intellidocs_agent LOGIN PASSWORD :'password'
  NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS
  CONNECTION LIMIT 40; -- five an agent; the others stay IntelliDocs'
CREATE DATABASE intellidocs_agent OWNER intellidocs_agent TEMPLATE template0 ENCODING 'UTF8';

-- Everybody on a server may look into every database unless told otherwise.
REVOKE ALL ON DATABASE intellidocs_agent FROM PUBLIC;
REVOKE CONNECT, TEMPORARY ON DATABASE :"intellidocs" FROM PUBLIC;
