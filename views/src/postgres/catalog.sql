-- Format 1 of a view store: the tables that are its own. Views' tables are made when a topology is deployed.
-- Text orders by bytes, as everywhere in a store. Keys of messages and claims are looked up by their hash: a key may be
-- longer than what an index takes.

CREATE TABLE _format (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    version bigint NOT NULL
);

-- Every generation that ever was: a dropped one stays, so that its number is not used again.
CREATE TABLE _generations (
    topology text COLLATE "C" NOT NULL,
    generation bigint NOT NULL,
    declaration text NOT NULL,
    fingerprint text NOT NULL,
    state text NOT NULL CHECK (state IN ('active', 'dropped')),
    -- Whether several workers may feed one row of it: its flushes then take turns.
    shared boolean NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (topology, generation)
);

-- One active generation a topology.
CREATE UNIQUE INDEX _generations_active ON _generations (topology) WHERE state = 'active';

CREATE TABLE _tables (
    view text COLLATE "C" NOT NULL,
    generation bigint NOT NULL,
    topology text COLLATE "C" NOT NULL,
    PRIMARY KEY (view, generation)
);

-- The next offset to read of each partition.
CREATE TABLE _positions (
    topology text COLLATE "C" NOT NULL,
    generation bigint NOT NULL,
    topic text COLLATE "C" NOT NULL,
    partition integer NOT NULL,
    topic_id bytea NOT NULL CHECK (length(topic_id) = 16),
    next bigint NOT NULL CHECK (next >= 0),
    PRIMARY KEY (topology, generation, topic, partition)
);

CREATE TABLE _parked (
    topology text COLLATE "C" NOT NULL,
    generation bigint NOT NULL,
    topic text COLLATE "C" NOT NULL,
    partition integer NOT NULL,
    "offset" bigint NOT NULL,
    timestamp_ms bigint NOT NULL,
    key bytea,
    payload bytea,
    headers bytea NOT NULL,
    reason text NOT NULL,
    is_head boolean NOT NULL,
    PRIMARY KEY (topology, generation, topic, partition, "offset")
);

-- How many records of each message key are parked, those without a body included.
CREATE TABLE _parked_keys (
    topology text COLLATE "C" NOT NULL,
    generation bigint NOT NULL,
    topic text COLLATE "C" NOT NULL,
    partition integer NOT NULL,
    key_hash bytea GENERATED ALWAYS AS (sha256(key)) STORED,
    key bytea NOT NULL,
    first_offset bigint NOT NULL,
    last_offset bigint NOT NULL,
    count bigint NOT NULL,
    PRIMARY KEY (topology, generation, topic, partition, key_hash)
);

CREATE TABLE _claims (
    kind text COLLATE "C" NOT NULL,
    key_hash bytea GENERATED ALWAYS AS (sha256(key)) STORED,
    key bytea NOT NULL,
    version bigint NOT NULL,
    body bytea NOT NULL,
    expires_at_ms bigint,
    PRIMARY KEY (kind, key_hash)
);

CREATE INDEX _claims_expiring ON _claims (expires_at_ms) WHERE expires_at_ms IS NOT NULL;
