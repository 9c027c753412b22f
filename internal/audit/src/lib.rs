//! The audit log: what crossed the links, in files that rotate.
