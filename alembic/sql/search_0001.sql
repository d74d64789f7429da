-- What a search reads: lexical rows, their statistics, and vectors partitioned by index. Everything hangs on a passage
-- or a knowledge base by a foreign key, so that nothing can be found that is not there.

CREATE TABLE lexical (
    knowledge_base_id uuid NOT NULL,
    passage_id uuid NOT NULL,
    workspace_id uuid NOT NULL,
    language text NOT NULL DEFAULT '',
    length integer NOT NULL,
    terms integer[] NOT NULL,
    weights sparsevec(1000000000) NOT NULL,
    PRIMARY KEY (knowledge_base_id, passage_id),
    FOREIGN KEY (knowledge_base_id, passage_id) REFERENCES passages (knowledge_base_id, id) ON DELETE CASCADE
) WITH (toast_tuple_target = 8160);

-- A term's hash holds its knowledge base, so that posting lists are per knowledge base. No pending list: a search would
-- have to read it row by row.
CREATE INDEX lexical_terms ON lexical USING gin (terms) WITH (fastupdate = off);

CREATE TABLE lexical_counts (
    knowledge_base_id uuid NOT NULL REFERENCES knowledge_bases (id) ON DELETE CASCADE,
    term integer NOT NULL,
    passages integer NOT NULL,
    PRIMARY KEY (knowledge_base_id, term)
) WITH (fillfactor = 80);

CREATE TABLE lexical_totals (
    knowledge_base_id uuid NOT NULL REFERENCES knowledge_bases (id) ON DELETE CASCADE,
    language text NOT NULL,
    passages bigint NOT NULL,
    length bigint NOT NULL,
    PRIMARY KEY (knowledge_base_id, language)
) WITH (fillfactor = 80);

-- One row per change, appended by whoever publishes or deletes; one merger at a time folds them into counts and totals.
CREATE TABLE lexical_deltas (
    id bigint GENERATED ALWAYS AS IDENTITY,
    knowledge_base_id uuid NOT NULL REFERENCES knowledge_bases (id) ON DELETE CASCADE,
    language text NOT NULL,
    passages integer NOT NULL,
    length bigint NOT NULL,
    terms integer[] NOT NULL,
    counts integer[] NOT NULL,
    term_count integer GENERATED ALWAYS AS (cardinality(terms)) STORED,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (knowledge_base_id, id)
);

CREATE TABLE embeddings (
    knowledge_base_id uuid NOT NULL,
    passage_id uuid NOT NULL,
    index_id bigint NOT NULL,
    workspace_id uuid NOT NULL,
    embedding halfvec NOT NULL,
    PRIMARY KEY (knowledge_base_id, passage_id, index_id),
    FOREIGN KEY (knowledge_base_id, passage_id) REFERENCES passages (knowledge_base_id, id) ON DELETE CASCADE
) PARTITION BY LIST (index_id);

-- Vectors of up to about 4,000 dimensions stay in their row: an exact scan must not fetch each from elsewhere.
CREATE TABLE embeddings_default PARTITION OF embeddings DEFAULT WITH (toast_tuple_target = 8160);
