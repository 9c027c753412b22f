//! Real processes for the black-box tests.
