//! Embedding: to be written.
