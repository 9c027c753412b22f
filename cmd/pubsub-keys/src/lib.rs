//! Issues keys and certificates.
