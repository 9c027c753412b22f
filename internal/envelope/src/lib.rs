//! Records and batches to bytes and back, binary and JSONL.
