"""The tables. ``seq`` is the order of creation; money objects keep their value as JSON.

A commit writes every page it touched, so what is written with each payment has few indexes: an
id contains its ``seq`` (see ``stub_psp.identifiers``), and a stored result is part of the
attempt that made it.
"""

from __future__ import annotations

SCHEMA_VERSION = 3

TABLES = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;

CREATE TABLE intents (
    seq INTEGER PRIMARY KEY, account TEXT NOT NULL, reference TEXT, created INTEGER NOT NULL,
    status TEXT NOT NULL, value BLOB NOT NULL);
CREATE INDEX intents_reference ON intents (reference) WHERE reference IS NOT NULL;

CREATE TABLE charges (
    seq INTEGER PRIMARY KEY, account TEXT NOT NULL, intent INTEGER NOT NULL,
    created INTEGER NOT NULL, created_mono_ns INTEGER NOT NULL, request TEXT, key TEXT,
    value BLOB NOT NULL);
CREATE INDEX charges_intent ON charges (intent);

CREATE TABLE refunds (
    seq INTEGER PRIMARY KEY, account TEXT NOT NULL, intent INTEGER NOT NULL,
    charge INTEGER NOT NULL, created INTEGER NOT NULL, created_mono_ns INTEGER NOT NULL,
    request TEXT, key TEXT, value BLOB NOT NULL);
CREATE INDEX refunds_charge ON refunds (charge);
CREATE INDEX refunds_intent ON refunds (intent);

CREATE TABLE events (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL, account TEXT NOT NULL,
    type TEXT NOT NULL, object TEXT NOT NULL, reference TEXT, created INTEGER NOT NULL,
    created_mono_ns INTEGER NOT NULL, request TEXT, key TEXT, data BLOB NOT NULL);

CREATE TABLE endpoints (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, account TEXT, url TEXT NOT NULL,
    secret TEXT NOT NULL, enabled_events TEXT NOT NULL, created INTEGER NOT NULL,
    details TEXT NOT NULL, deleted INTEGER NOT NULL DEFAULT 0);

-- Deliveries still to succeed; a row goes when it did, or when the stub gave up.
CREATE TABLE deliveries (
    event INTEGER NOT NULL, endpoint INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
    first_us INTEGER NOT NULL, due_us INTEGER NOT NULL,
    PRIMARY KEY (event, endpoint)) WITHOUT ROWID;
CREATE TABLE delivery_attempts (
    seq INTEGER PRIMARY KEY, event INTEGER NOT NULL, endpoint INTEGER NOT NULL,
    attempt INTEGER NOT NULL, at_mono_ns INTEGER NOT NULL, answered_mono_ns INTEGER NOT NULL,
    status INTEGER, delivered INTEGER NOT NULL);

-- kept_*, digest and clock_s: what a repeated key gets, where this attempt stored a result.
CREATE TABLE attempts (
    seq INTEGER PRIMARY KEY, request TEXT NOT NULL, account TEXT NOT NULL, endpoint TEXT,
    reference TEXT, key TEXT, received_mono_ns INTEGER NOT NULL, answered_mono_ns INTEGER,
    status INTEGER, replayed INTEGER NOT NULL, rule TEXT, point TEXT,
    payment_intent TEXT, charge TEXT,
    clock_s INTEGER, digest BLOB, kept_status INTEGER, kept_body BLOB);
-- The attempt that holds the result of a key; ``slot`` is a hash of account and key.
CREATE TABLE results (slot BLOB PRIMARY KEY, attempt INTEGER NOT NULL) WITHOUT ROWID;

-- The epoch that a request says it was sent in, for requests that say one.
CREATE TABLE epochs (
    seq INTEGER PRIMARY KEY, request TEXT NOT NULL, epoch INTEGER NOT NULL,
    received_mono_ns INTEGER NOT NULL);

CREATE TABLE rules (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, spec TEXT NOT NULL,
    matched INTEGER NOT NULL DEFAULT 0, hits INTEGER NOT NULL DEFAULT 0);
CREATE TABLE rule_matches (
    rule TEXT NOT NULL, subject TEXT NOT NULL, matched INTEGER NOT NULL,
    PRIMARY KEY (rule, subject)) WITHOUT ROWID;
CREATE TABLE rule_hits (seq INTEGER PRIMARY KEY, rule TEXT NOT NULL, request TEXT NOT NULL);
CREATE INDEX rule_hits_rule ON rule_hits (rule);
"""
