//! Certificates and TLS: loading, checking, reloading, peer names.
