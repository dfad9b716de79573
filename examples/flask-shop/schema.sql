CREATE TABLE IF NOT EXISTS orders (
  id TEXT PRIMARY KEY,
  reference TEXT NOT NULL,
  idempotency_key TEXT NOT NULL UNIQUE,
  request TEXT NOT NULL,            -- what was asked with that key, to tell a replay from a mix-up
  total INTEGER NOT NULL CHECK (total > 0), -- minor units
  currency TEXT NOT NULL,
  payment_token TEXT NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('pending', 'paid', 'declined', 'failed')),
  payment_intent TEXT,
  created_us INTEGER NOT NULL,
  updated_us INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS orders_by_reference ON orders (reference);
CREATE INDEX IF NOT EXISTS orders_open ON orders (created_us) WHERE status = 'pending';

CREATE TABLE IF NOT EXISTS refunds (
  id TEXT PRIMARY KEY,
  order_id TEXT NOT NULL REFERENCES orders (id),
  idempotency_key TEXT NOT NULL UNIQUE,
  amount INTEGER NOT NULL CHECK (amount > 0),
  status TEXT NOT NULL CHECK (status IN ('pending', 'done', 'failed')),
  stripe_refund TEXT,
  created_us INTEGER NOT NULL,
  updated_us INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS refunds_by_order ON refunds (order_id);

CREATE TABLE IF NOT EXISTS stripe_events (
  id TEXT PRIMARY KEY,
  type TEXT NOT NULL,
  object TEXT NOT NULL,
  order_ref TEXT,
  deliveries INTEGER NOT NULL,
  effects INTEGER NOT NULL,
  received_us INTEGER NOT NULL
);
