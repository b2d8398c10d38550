-- What an account was seen to take when it was last refused more: enqueued tokens of a model, or, where
-- the model is '', batches created in an hour. It grows again by itself, with the time since then.
CREATE TABLE batch_assets.allowance (
    account    text NOT NULL,
    model      text NOT NULL,
    most       bigint NOT NULL,
    refusals   integer NOT NULL DEFAULT 1,
    refused_at timestamptz NOT NULL,
    CONSTRAINT allowance_pkey PRIMARY KEY (account, model)
);
