-- Format 1 of a view store: the tables that are its own. Views' tables are made when a topology is deployed.

-- Every generation that ever was: a dropped one stays, so that its number is not used again.
CREATE TABLE _generations (
    topology TEXT NOT NULL,
    generation INTEGER NOT NULL,
    declaration TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('active', 'dropped')),
    created_ms INTEGER NOT NULL,
    PRIMARY KEY (topology, generation)
) STRICT, WITHOUT ROWID;

-- One active generation a topology.
CREATE UNIQUE INDEX _generations_active ON _generations (topology) WHERE state = 'active';

CREATE TABLE _tables (
    view TEXT NOT NULL,
    generation INTEGER NOT NULL,
    topology TEXT NOT NULL,
    PRIMARY KEY (view, generation)
) STRICT, WITHOUT ROWID;

-- The next offset to read of each partition.
CREATE TABLE _positions (
    topology TEXT NOT NULL,
    generation INTEGER NOT NULL,
    topic TEXT NOT NULL,
    partition INTEGER NOT NULL,
    topic_id BLOB NOT NULL CHECK (length(topic_id) = 16),
    next INTEGER NOT NULL CHECK (next >= 0),
    PRIMARY KEY (topology, generation, topic, partition)
) STRICT, WITHOUT ROWID;

CREATE TABLE _parked (
    topology TEXT NOT NULL,
    generation INTEGER NOT NULL,
    topic TEXT NOT NULL,
    partition INTEGER NOT NULL,
    "offset" INTEGER NOT NULL,
    timestamp_ms INTEGER NOT NULL,
    key BLOB,
    payload BLOB,
    headers BLOB NOT NULL,
    reason TEXT NOT NULL,
    is_head INTEGER NOT NULL CHECK (is_head IN (0, 1)),
    PRIMARY KEY (topology, generation, topic, partition, "offset")
) STRICT;

-- How many records of each message key are parked, those without a body included.
CREATE TABLE _parked_keys (
    topology TEXT NOT NULL,
    generation INTEGER NOT NULL,
    topic TEXT NOT NULL,
    partition INTEGER NOT NULL,
    key BLOB NOT NULL,
    first_offset INTEGER NOT NULL,
    last_offset INTEGER NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (topology, generation, topic, partition, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE _claims (
    kind TEXT NOT NULL,
    key BLOB NOT NULL,
    version INTEGER NOT NULL,
    body BLOB NOT NULL,
    expires_at_ms INTEGER,
    PRIMARY KEY (kind, key)
) STRICT;

CREATE INDEX _claims_expiring ON _claims (expires_at_ms) WHERE expires_at_ms IS NOT NULL;
